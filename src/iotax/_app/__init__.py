"""The application: finding and loading it, and telling its code from other code."""
