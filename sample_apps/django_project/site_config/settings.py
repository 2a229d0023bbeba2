"""Settings of the sample project. It writes into SAMPLE_DATA_DIR, or into a new directory."""

import os
import tempfile
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("SAMPLE_DATA_DIR") or tempfile.mkdtemp(prefix="sample-django-"))

SECRET_KEY = os.environ.get("SAMPLE_SECRET_KEY", "for this sample only")
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_X_FORWARDED_HOST = False

INSTALLED_APPS = ["django.contrib.sessions", "guestbook"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
ROOT_URLCONF = "site_config.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_DIR / "db.sqlite3"}}
FILE_UPLOAD_TEMP_DIR = DATA_DIR
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
