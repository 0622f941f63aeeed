"""Every address of the chat, grouped by who may enter."""

from __future__ import annotations

from django.contrib.auth import views as auth_views
from django.urls import path

from chat.views import (
    accounts,
    files,
    health,
    keeping,
    own_use,
    pages,
    sending,
    shared,
    shared_live,
    sharing,
    usage,
)

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
    path("accounts/password_change/", accounts.PasswordChange.as_view(), name="password_change"),
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
    path("c/<str:thread_id>/tool-output/", sending.tool_output, name="tool_output"),
    path("c/<str:thread_id>/show/", sending.show, name="show"),
    path("c/<str:thread_id>/rename/", keeping.rename, name="rename"),
    path("c/<str:thread_id>/delete/", keeping.delete, name="delete"),
    path("c/<str:thread_id>/restore/", keeping.restore, name="restore"),
    path("drafts/", keeping.draft, name="draft"),
    path("c/<str:thread_id>/files/", files.tray, name="file_tray"),
    path("files/", files.announce, name="file_new"),
    path("files/<str:file_id>/", files.one, name="file"),
    path("files/<str:file_id>/remove/", files.remove, name="file_remove"),
    path("files/<str:file_id>/renew/", files.renew, name="file_renew"),
    path("files/<str:file_id>/download/", files.download, name="file_download"),
    path("files/<str:file_id>/thumbnail/", files.thumbnail, name="file_thumbnail"),
    # Share links: for their owners, then for whoever has the address.
    path("c/<str:thread_id>/share/", sharing.new, name="share_new"),
    path("usage/", usage.mine, name="usage"),
    path("usage/now/", own_use.now, name="usage_now"),
    path("usage/more/", usage.more, name="usage_more"),
    path("usage/go-over/", usage.go_over, name="usage_go_over"),
    path("usage/told/", usage.told, name="usage_told"),
    path("shares/", sharing.mine, name="share_list"),
    path("shares/revoke-all/", sharing.revoke_all, name="share_revoke_all"),
    path("shares/<str:share_id>/", sharing.detail, name="share_detail"),
    path("shares/<str:share_id>/publish/", sharing.publish, name="share_publish"),
    path("shares/<str:share_id>/revoke/", sharing.revoke, name="share_revoke"),
    path("s/<str:token>/", shared.page, name="share_page"),
    path("s/<str:token>/files/<int:number>/", shared.file, name="share_file"),
    path("s/<str:token>/copy/", shared.copy, name="share_copy"),
    path("s/<str:token>/live/", shared_live.live, name="share_live"),
]
