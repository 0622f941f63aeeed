"""Every address of the chat, grouped by who may enter."""

from __future__ import annotations

from django.contrib.auth import views as auth_views
from django.urls import path

from chat.views import accounts, health, keeping, pages, sending

urlpatterns = [
    # Everybody.
    path("accounts/login/", accounts.SignIn.as_view(), name="login"),
    path("accounts/logout/", accounts.SignOut.as_view(), name="logout"),
    path("preferences/", keeping.preferences, name="preferences"),
    path("session/", pages.session, name="session"),
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.numbers, name="metrics"),
    # Signed-in people, for what is theirs.
    path("accounts/password_change/", auth_views.PasswordChangeView.as_view(), name="password_change"),
    path(
        "accounts/password_change/done/",
        auth_views.PasswordChangeDoneView.as_view(),
        name="password_change_done",
    ),
    path("", pages.home, name="home"),
    path("c/", sending.create, name="create"),
    path("c/<str:thread_id>/", pages.conversation, name="conversation"),
    path("c/<str:thread_id>/items/", pages.older, name="older"),
    path("c/<str:thread_id>/messages/", sending.send, name="send"),
    path("c/<str:thread_id>/stop/", sending.stop, name="stop"),
    path("c/<str:thread_id>/retry/", sending.retry, name="retry"),
    path("c/<str:thread_id>/continue/", sending.continue_answer, name="continue"),
    path("c/<str:thread_id>/show/", sending.show, name="show"),
    path("c/<str:thread_id>/rename/", keeping.rename, name="rename"),
    path("c/<str:thread_id>/delete/", keeping.delete, name="delete"),
    path("c/<str:thread_id>/restore/", keeping.restore, name="restore"),
    path("drafts/", keeping.draft, name="draft"),
]
