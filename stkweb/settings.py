"""Every setting, in one file: ours first, then Django's, derived from them.

Ours come from the environment as STKWEB_*, each with a `#:` line; docs/deploying.md lists them
and a test holds it to this file. Nothing is written to disk here: `manage.py setup` does that.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from stkweb.env import env, env_bool, env_choice, env_choices, env_float, env_int, env_list

BASE_DIR = Path(__file__).resolve().parent.parent

#: Folder of everything the product writes: database, static files, secrets, uploads.
DATA_DIR = Path(env("STKWEB_DATA_DIR", str(BASE_DIR / "var")))
#: HOST:PORT where `manage.py serve` listens.
LISTEN = env("STKWEB_LISTEN", "127.0.0.1:8000")
#: Django's debug pages. For work on the code alone.
DEBUG = env_bool("STKWEB_DEBUG", False)
#: Full origins under which browsers reach the product, as scheme://host[:port]. Sockets and forms
#: are accepted from these alone. One of them with https turns secure cookies and HSTS on.
ORIGINS = env_list("STKWEB_ORIGINS") or [
    f"http://{host}:{LISTEN.rpartition(':')[2]}" for host in ("127.0.0.1", "localhost")
]
#: Host names that are answered; taken from the origins when it is not set.
ALLOWED_HOSTS = env_list("STKWEB_ALLOWED_HOSTS") or sorted({urlsplit(o).hostname or "" for o in ORIGINS})
#: True where a reverse proxy of yours sets X-Forwarded-Proto and X-Forwarded-For itself.
TRUST_PROXY = env_bool("STKWEB_TRUST_PROXY", False)
#: Server processes of `manage.py serve`; more than one needs PostgreSQL and Redis.
PROCESSES = env_int("STKWEB_PROCESSES", 1, minimum=1)
#: Threads of one process that wait for the database and render pages. Measured at 200 streams: 4 take a
#: tenth less CPU a turn than 8, which wait for each other.
THREADS = env_int("STKWEB_THREADS", 4, minimum=1)
#: Hosts of agents and proxies that may be reached without TLS or at a private address, such as
#: localhost; all others must be public and speak https.
AGENT_HOSTS = env_list("STKWEB_AGENT_HOSTS")
#: Opens /metrics to whoever sends it as a Bearer token; without it there is no such page.
METRICS_TOKEN = env("STKWEB_METRICS_TOKEN")
#: Describe one agent, which the first start makes; the names are those of StackSpot's own SDK.
FIRST_AGENT = {
    name: env(name)
    for name in (
        "STACKSPOT_REALM",
        "STACKSPOT_CLIENT_ID",
        "STACKSPOT_CLIENT_SECRET",
        "STACKSPOT_AGENT_ID",
        "STKAI_AGENT_BASE_URL",
        "STKAI_AUTH_TOKEN_URL",
        "STKAI_AUTH_CLIENT_ID",
        "STKAI_AUTH_CLIENT_SECRET",
    )
}
#: Log level of our own loggers.
LOG_LEVEL = env("STKWEB_LOG_LEVEL", "INFO").upper()

# Limits. chat/limits.py gives them to the code as typed values.
#: Seconds to connect to an agent.
LIMIT_CONNECT = env_float("STKWEB_CONNECT_SECONDS", 5)
#: Seconds until an agent's first byte.
LIMIT_FIRST_BYTE = env_float("STKWEB_FIRST_BYTE_SECONDS", 120)
#: Seconds between two signs of life while an answer has not begun.
LIMIT_SIGN_OF_LIFE = env_float("STKWEB_SIGN_OF_LIFE_SECONDS", 15)
#: Seconds of silence inside an answer.
LIMIT_IDLE = env_float("STKWEB_IDLE_SECONDS", 60)
#: Seconds of a whole turn.
LIMIT_TURN = env_float("STKWEB_TURN_SECONDS", 900)
#: Seconds for which a stopped call may be read on, where its agent is set to that.
LIMIT_DRAIN = env_float("STKWEB_DRAIN_SECONDS", 60)
#: Tokens that an answer is expected to have at most, where its agent says nothing, to reserve of budgets.
BUDGET_OUTPUT_TOKENS = env_int("STKWEB_BUDGET_OUTPUT_TOKENS", 2000, minimum=1)
#: Bytes of one upstream event.
LIMIT_EVENT_BYTES = env_int("STKWEB_EVENT_BYTES", 1024 * 1024, minimum=1024)
#: Bytes of one answer.
LIMIT_ANSWER_BYTES = env_int("STKWEB_ANSWER_BYTES", 2 * 1024 * 1024, minimum=1024)
#: Bytes of one question.
LIMIT_PROMPT_BYTES = env_int("STKWEB_PROMPT_BYTES", 256 * 1024, minimum=1024)
#: Bytes of any request body; larger ones are refused before they are read.
LIMIT_BODY_BYTES = env_int("STKWEB_BODY_BYTES", 5 * 1024 * 1024, minimum=64 * 1024)
#: Seconds between two saves of a running answer.
LIMIT_SAVE_SECONDS = env_float("STKWEB_SAVE_SECONDS", 0.25)
#: Unsaved bytes of a running answer that bring a save forward.
LIMIT_SAVE_BYTES = env_int("STKWEB_SAVE_BYTES", 4096, minimum=1)
#: Seconds after which a process that shows no sign of life loses its turns.
LIMIT_LEASE = env_float("STKWEB_LEASE_SECONDS", 15)
#: Frames a second to one reader of one answer; more deltas than that are joined.
LIMIT_FRAMES = env_int("STKWEB_FRAMES_PER_SECOND", 25, minimum=1)
#: Bytes of one socket frame from a browser.
LIMIT_FRAME_BYTES = env_int("STKWEB_FRAME_BYTES", 64 * 1024, minimum=1024)
#: Bytes that may wait unsent for one socket before it is closed (4008).
LIMIT_UNSENT_BYTES = env_int("STKWEB_UNSENT_BYTES", 4 * 1024 * 1024, minimum=64 * 1024)
#: Seconds that one frame may wait unsent before the socket is closed (4008).
LIMIT_UNSENT_SECONDS = env_float("STKWEB_UNSENT_SECONDS", 15)
#: Turns of one person that may run at the same time.
LIMIT_TURNS_PER_USER = env_int("STKWEB_TURNS_PER_USER", 3, minimum=1)
#: Questions one person may send in a minute.
LIMIT_SENDS_PER_MINUTE = env_int("STKWEB_SENDS_PER_MINUTE", 20, minimum=1)
#: Seconds a clean stop waits for running turns to be saved.
LIMIT_SHUTDOWN = env_float("STKWEB_SHUTDOWN_SECONDS", 10)

# Files given to agents.
#: Bytes of one file.
LIMIT_FILE_BYTES = env_int("STKWEB_FILE_BYTES", 10 * 1024 * 1024, minimum=1024)
#: Files that one message may carry.
LIMIT_FILES = env_int("STKWEB_FILES_PER_MESSAGE", 20, minimum=1)
#: Files of one person that no message carries yet.
LIMIT_FILES_UNSENT = env_int("STKWEB_FILES_UNSENT", 60, minimum=1)
#: Bytes of all files of one person.
LIMIT_FILES_OF_PERSON = env_int("STKWEB_FILES_BYTES_PER_PERSON", 1024 * 1024 * 1024, minimum=1024)
#: Bytes of all files in all.
LIMIT_FILES_IN_ALL = env_int("STKWEB_FILES_BYTES", 20 * 1024 * 1024 * 1024, minimum=1024)
#: Seconds after which a file that no message carries is taken away.
LIMIT_FILE_UNSENT = env_float("STKWEB_FILE_UNSENT_SECONDS", 24 * 3600)
#: Bytes of text that files may add to one prompt; newer files come first.
LIMIT_FILE_TEXT = env_int("STKWEB_FILE_TEXT_BYTES", 128 * 1024, minimum=1024)
#: Seconds for which StackSpot is trusted to keep a file that was handed over.
LIMIT_HANDED = env_int("STKWEB_HANDED_SECONDS", 3600, minimum=60)
#: Seconds that looking into one file may take.
LIMIT_LOOK = env_int("STKWEB_FILE_LOOK_SECONDS", 20, minimum=1)
#: Bytes of memory of the process that looks into a file.
LIMIT_LOOK_BYTES = env_int("STKWEB_FILE_LOOK_BYTES", 768 * 1024 * 1024, minimum=64 * 1024 * 1024)
#: Pages, slides or sheets of a document that are read.
LIMIT_PAGES = env_int("STKWEB_FILE_PAGES", 500, minimum=1)
#: Pixels of a picture.
LIMIT_PIXELS = env_int("STKWEB_FILE_PIXELS", 50000000, minimum=1)
#: A ClamAV daemon that looks at every file, as tcp://host:port or unix:///path; none by default.
CLAMAV_URL = env("CLAMAV_URL")
#: Bucket of an S3-compatible storage for files; without it they are in the data folder.
S3_BUCKET = env("STKWEB_S3_BUCKET")
#: Address of that storage, where it is not Amazon's.
S3_ENDPOINT = env("STKWEB_S3_ENDPOINT")
#: Its region.
S3_REGION = env("STKWEB_S3_REGION")
#: Its access key; without one boto3 looks where it always does.
S3_ACCESS_KEY = env("STKWEB_S3_ACCESS_KEY")
#: The secret that belongs to the access key.
S3_SECRET_KEY = env("STKWEB_S3_SECRET_KEY")

# Share links.
#: With whom a conversation may be shared: `colleagues`, `groups`, `anyone`; `nobody` ends all sharing.
SHARE_WITH = env_choices("STKWEB_SHARE_WITH", "colleagues,groups,anyone", none="nobody")
#: Days after which a share link ends, as the form proposes it.
SHARE_DAYS = env_int("STKWEB_SHARE_DAYS", 30, minimum=1)
#: The most days a share link may last; lowering it shortens links that exist.
SHARE_MAX_DAYS = env_int("STKWEB_SHARE_MAX_DAYS", 90, minimum=1)
#: `optional`, `required` (for links that anyone may open) or `off`.
SHARE_PASSPHRASE = env_choice("STKWEB_SHARE_PASSPHRASE", ("optional", "required", "off"))
#: What an owner may switch on: `names,reasoning,tokens,openings,live,copy,files`; `none` for nothing of it.
SHARE_OPTIONS = env_choices(
    "STKWEB_SHARE_OPTIONS", "names,reasoning,tokens,openings,live,copy,files", none="none"
)
#: Full origins of pages that may embed a share link; none by default.
SHARE_EMBED_ORIGINS = env_list("STKWEB_SHARE_EMBED_ORIGINS")
#: Addresses below /s/ that lead nowhere, a minute and a network, before that network has to wait.
SHARE_GUESSES = env_int("STKWEB_SHARE_GUESSES_PER_MINUTE", 60, minimum=5)
#: Wrong passphrases for one share link in fifteen minutes from one network.
SHARE_PASSPHRASE_TRIES = env_int("STKWEB_SHARE_PASSPHRASE_TRIES", 5, minimum=1)


def _stored_secret(name: str) -> str:
    """A secret that `manage.py setup` wrote below the data folder, or the empty string."""
    path = DATA_DIR / "secrets" / name
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


#: Signs sessions. `manage.py setup` makes one; without any, each start signs everybody out.
SECRET_KEY = env("STKWEB_SECRET_KEY") or _stored_secret("secret_key")
SECRET_KEY_IS_NEW = not SECRET_KEY
SECRET_KEY = SECRET_KEY or secrets.token_urlsafe(50)
#: Keys that encrypt agents' secrets at rest, newest first, apart from the one that signs sessions.
ENCRYPTION_KEYS = env_list("STKWEB_ENCRYPTION_KEYS", _stored_secret("encryption_keys").replace("\n", ","))

# -- Django ------------------------------------------------------------------------------------

HTTPS = any(origin.startswith("https://") for origin in ORIGINS)
CSRF_TRUSTED_ORIGINS = ORIGINS
if TRUST_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

INSTALLED_APPS = [
    # It brings `runserver` and all of Twisted: a fifth of every other command's start.
    *(["daphne"] if sys.argv[1:2] == ["runserver"] else []),
    "chat",
    "chat.apps.AdministrationConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "axes",
    "csp",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "chat.trail.TrailMiddleware",
]

ROOT_URLCONF = "stkweb.urls"
ASGI_APPLICATION = "stkweb.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "chat.views.context.look",
            ],
        },
    },
]


def _database() -> dict[str, Any]:
    """DATABASE_URL, or SQLite below the data folder; each with what the measurements ask for."""
    url = env("DATABASE_URL", f"sqlite:///{DATA_DIR / 'stkweb.sqlite3'}")
    config: dict[str, Any] = {**dj_database_url.parse(url)}
    if config["ENGINE"].endswith("sqlite3"):
        # Without IMMEDIATE, 469 of 640 read-then-write transactions failed with "database is locked".
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # 128 KB of pages a connection (there are up to ten): the system caches the file.
            "init_command": "PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-128;",
        }
        # Our threads are few and live as long as the process (chat/threads.py), so nothing leaks.
        config["CONN_MAX_AGE"] = None
        config["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    elif config["ENGINE"].endswith("postgresql"):
        # Persistent connections leak under ASGI; the pool with checks survived a restart unharmed.
        config["CONN_MAX_AGE"] = 0
        config["CONN_HEALTH_CHECKS"] = True
        # Sums of the audit have many columns: compiling them took 100 to 250 ms, longer than adding them up.
        # They are sorted in memory, and by one process: workers take longer to begin. `options` in the
        # address go before.
        tuned = {"options": "-c jit=off -c work_mem=16MB -c max_parallel_workers_per_gather=0"}
        pool = {"min_size": 1, "max_size": THREADS + 10, "timeout": 10}
        config["OPTIONS"] = {**tuned, **config.get("OPTIONS", {}), "pool": pool}
    else:
        raise ImproperlyConfigured("DATABASE_URL names neither SQLite nor PostgreSQL")
    return config


DATABASES = {"default": _database()}

REDIS_URL = env("REDIS_URL")
if REDIS_URL and not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured("REDIS_URL begins with none of redis://, rediss:// and unix://")
if REDIS_URL:
    CHANNEL_LAYERS: dict[str, Any] = {
        "default": {
            # The core Redis layer delivered 14 % of 200 streams; Pub/Sub all of them.
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            # Pub/Sub knows no databases: without a prefix of its own, an installation would hear the
            # feeds of another one on the same Redis. All processes of one share its key.
            "CONFIG": {
                "hosts": [REDIS_URL],
                "prefix": f"stkweb-{hashlib.sha256(SECRET_KEY.encode()).hexdigest()[:16]}-",
            },
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
CSRF_FAILURE_VIEW = "chat.views.errors.csrf_failure"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# Sign-in is throttled by name and address together, and by address alone, the admin's door included.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 5 / 60  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_LOCKOUT_CALLABLE = "chat.views.accounts.locked_out"
AXES_IPWARE_PROXY_COUNT = 1 if TRUST_PROXY else None
AXES_DISABLE_ACCESS_LOG = True

SESSION_ENGINE = "chat.sessions"
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "stkweb_session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "stkweb_csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = HTTPS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 14 * 24 * 3600
LANGUAGE_COOKIE_NAME = "stkweb_language"
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_SSL_REDIRECT = False  # the proxy that ends TLS redirects; a check names it
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = ["security.W008"]
DATA_UPLOAD_MAX_MEMORY_SIZE = LIMIT_BODY_BYTES

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF, *[origin.replace("http", "ws", 1) for origin in ORIGINS]],
        "manifest-src": [SELF],
        "worker-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["stkweb", "dompurify"],
    },
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("pt-br", _("Brazilian Portuguese"))]
LOCALE_PATHS = [BASE_DIR / "chat" / "locale"]
FORMAT_MODULE_PATH = "stkweb.formats"
USE_TZ = True
TIME_ZONE = env("STKWEB_TIME_ZONE", "UTC")

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
MEDIA_ROOT = DATA_DIR / "files"
# Files come in slices that are written down at once: nothing larger is kept in memory, and once only.
FILE_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700


def _storage() -> dict[str, Any]:
    """Where files are kept; names are random and no address leads there but through our doors."""
    if not S3_BUCKET:
        return {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    given = {
        "bucket_name": S3_BUCKET, "endpoint_url": S3_ENDPOINT, "region_name": S3_REGION,
        "access_key": S3_ACCESS_KEY, "secret_key": S3_SECRET_KEY,
    }  # fmt: skip
    options: dict[str, Any] = {name: value for name, value in given.items() if value}
    # What is read is spooled to disk above a megabyte; the bucket needs no rights for the public.
    options |= {"max_memory_size": 1024 * 1024, "file_overwrite": False, "default_acl": None}
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}


STORAGES = {
    "default": _storage(),
    "staticfiles": {"BACKEND": "stkweb.static.HashedStatic"},
}
WHITENOISE_MAX_AGE = 0  # hashed files are immutable all the same

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"outages": {"()": "stkweb.logs.OutageFilter"}},
    "formatters": {"line": {"()": "stkweb.logs.LineFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "chat": {"level": LOG_LEVEL},
        "stkweb": {"level": LOG_LEVEL},
        "axes": {"level": "ERROR"},
        "channels_redis": {"filters": ["outages"]},
        "channels_redis.pubsub": {"filters": ["outages"]},
        "django.security.DisallowedHost": {"level": "ERROR"},
    },
}
