"""`iotax migrate`: translates the configuration of gunicorn or uWSGI. Executes nothing of it."""
