"""The pages of the sample project."""

from django.urls import path
from guestbook import views

urlpatterns = [
    path("", views.index, name="index"),
    path("api/data", views.data),
    path("sign", views.sign, name="sign"),
    path("rows", views.rows),
    path("static/<str:name>", views.static_file),
    path("visits", views.visits),
    path("old", views.moved),
    path("where", views.where),
    path("error", views.error),
]
