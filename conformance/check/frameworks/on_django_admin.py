"""A Django project with its admin, sessions and a database. SESSION is the key of a session
whose user is logged in."""

import atexit
import os
import tempfile

import django
from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler

SESSION = "known" * 4
directory = tempfile.TemporaryDirectory(prefix="database")
atexit.register(directory.cleanup)
MIDDLEWARE = "django.contrib.{}.middleware.{}Middleware"
settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=True,
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for the test",
    STATIC_URL="/static/",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(directory.name, "database"),
        }
    },
    INSTALLED_APPS=[
        f"django.contrib.{name}"
        for name in ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        MIDDLEWARE.format("sessions", "Session"),
        "django.middleware.locale.LocaleMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        MIDDLEWARE.format("auth", "Authentication"),
        MIDDLEWARE.format("messages", "Message"),
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
)
django.setup(set_prefix=False)

from django.contrib import admin, messages  # noqa: E402  they need the settings
from django.contrib.auth import (  # noqa: E402
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
)
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import path  # noqa: E402

call_command("migrate", verbosity=0)
ada = get_user_model().objects.create_superuser("ada", password="secret")


# A client with the cookie is logged in, and sees the pages after the login form.
session = SessionStore(session_key=SESSION)
session[SESSION_KEY], session[HASH_SESSION_KEY] = str(ada.pk), ada.get_session_auth_hash()
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session.save(must_create=True)


def form(request):
    page = engines["django"].from_string("<form method=post>{% csrf_token %}<button></form>")
    return HttpResponse(page.render(request=request))


def tell(request):
    messages.info(request, "told once")
    return HttpResponse(str([str(message) for message in messages.get_messages(request)]))


urlpatterns = [path("form", form), path("tell", tell), path("", admin.site.urls)]
app = StaticFilesHandler(WSGIHandler())
