"""Each setting, declared once: type, parser, default, one line of prose.

etc/videod.ini, the man page videod.ini(5), `videod check` and the ini reader all go by these declarations.
A default that depends on the environment or the user is computed in `ini.py` from an empty text here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from videod.config import values as v
from videod.config import visitors
from videod.config.options import option
from videod.config.presets import Preset


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Access to an object store; `[storage s3]`, `[storage gs]`, `[storage az]`, `[storage rclone]`."""

    access_key: str = option("", v.text, "key id (s3), account name (az)")
    secret_key: str = option("", v.text, "secret key (s3), account key (az); take it from ${file:PATH}")
    session_token: str = option("", v.text, "token of temporary credentials (s3)")
    region: str = option("", v.word, "region (s3); empty: us-east-1")
    endpoint: str = option("", v.endpoint, "address of a server of your own; empty: the provider's")
    allow_http: bool = option("no", v.yes_no, "let the endpoint be plain http")
    service_account: str = option("", v.path, "file with the service account's key (gs)")
    config: str = option("", v.path, "rclone's configuration file (rclone)")
    buckets: tuple[str, ...] = option("*", v.words, "the buckets, containers or remotes that messages may name")


@dataclass(frozen=True, kw_only=True)
class Source:
    """What to send to one host; `[source HOST]`. Never sent to another host after a redirect."""

    header: tuple[str, ...] = option("", v.header_lines, "headers, one a line")
    user: str = option("", v.text, "user name for basic authentication")
    password: str = option("", v.text, "its password; take it from ${file:PATH}")
    ca_file: str = option("", v.certificates, "certificates to trust instead of the system's")
    limit_rate: int = option("0", v.size, "most bytes a second of one download; 0: no limit")
    user_agent: str = option("", v.text, "the User-Agent to send")


@dataclass(frozen=True, kw_only=True)
class Recorder:
    """A network video recorder; `[recorder NAME]`."""

    host: str = option("", v.recorder_host, "host or host:port; empty: the NAME")
    user: str = option("", v.text, "user name")
    password: str = option("", v.text, "its password; take it from ${file:PATH}")
    tls: bool = option("no", v.yes_no, "ask by https")
    fingerprint: str = option(
        "", v.fingerprint, "SHA-256 of its certificate, which is trusted then; empty: see ca_file"
    )
    ca_file: str = option("", v.certificates, "certificates to trust instead of the system's")


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What `videod watch` does with files; `[watch]`. Folders as paths, or relative to the folder that is watched."""

    done_dir: str = option("", v.text, "where files go whose job ended well; empty: they stay")
    failed_dir: str = option("", v.text, "where the others go, with the reason beside each; empty: they stay")


@dataclass(frozen=True, kw_only=True)
class Web:
    """What `videod web` serves, and to whom; `[web]`."""

    listen: str = option(
        "127.0.0.1:8080", visitors.listen, "host:port, or unix:/path; beyond loopback only with a login"
    )
    folder: str = option("", v.path, "uploads and their results; empty: state_dir/web")
    secret: str = option(
        "",
        visitors.secret,
        "key that cookies are signed with, 32 characters or more; empty: one that is made once in the folder",
    )
    users: tuple[visitors.Account, ...] = option(
        "", visitors.users, "name, role and hash, one a line; roles: watch, submit, admin"
    )
    tokens: tuple[visitors.Account, ...] = option(
        "", visitors.tokens, "name, role and hash of a token for programs, one a line"
    )
    user_header: str = option("", visitors.header, "the header in which a proxy names the user who logged in there")
    header_role: str = option("submit", v.one_of(*visitors.ROLES), "the role of these users")
    trusted_proxies: tuple[str, ...] = option(
        "", visitors.proxies, "addresses or CIDR whose headers are believed; unix: who comes by a unix socket"
    )
    hosts: tuple[str, ...] = option(
        "", visitors.names, "names by which browsers reach it, beside localhost and addresses"
    )
    preset: str = option("html5", v.name, "how to convert what is uploaded")
    max_upload: int = option("10G", v.size, "largest upload; 0: no limit")
    quota_bytes: int = option("50G", v.size, "most bytes that one user uploads in a day; 0: no limit")
    quota_jobs: int = option("200", v.count, "most jobs that one user queues in a day; 0: no limit")
    keep_uploads: float = option("1d", v.duration, "how long unfinished uploads are kept, and others after their job")
    keep_results: float = option("7d", v.duration, "how long pages and results are kept")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of one environment, checked; frozen, handed on, never global."""

    env: str
    file: str
    presets: Mapping[str, Preset]
    storage: Mapping[str, Storage]
    sources: Mapping[str, Source]
    recorders: Mapping[str, Recorder]
    watch: Watched
    web: Web
    import_key: str

    # Redis
    redis: str = option(
        "redis://localhost:6379/0",
        v.redis_url,
        "where Redis is: redis://, rediss:// (TLS), unix://, redis+sentinel://, or embedded: a private one below state_dir",
    )
    queue: str = option("video_info_queue", v.name, "list that producers LPUSH to")
    batch_queue: str = option("batch_download_tasks", v.name, "second list, served in turn with the first")
    abnormal_queue: str = option("abnormal_video_info_queue", v.name, "list served when both are empty")
    batch_reply_prefix: str = option("batch_download_resp_", v.name, "reply list of a batch: this and its task_id")
    prefix: str = option("videod:", v.name, "what the names of videod's own keys begin with")
    node: str = option("", v.node_name, "name of this node; empty: HOSTNAME-ENV")
    lease: float = option("30", v.duration, "seconds without a sign of life after which a node counts as gone")
    events_max: int = option("100000", v.whole(1, 10**9), "entries kept in the stream of events")
    progress_max: int = option("10000", v.whole(1, 10**9), "entries kept in the stream of progress")
    keep_jobs: float = option("7d", v.duration, "how long records and reply lists are kept after the end; 0: for ever")
    # work
    max_worker: int = option("4", v.whole(1, 256), "slots: jobs at once", live=True)
    max_encode: int = option(
        "0", v.whole(0, 256), "of these how many may encode at once; 0: as many as cores", live=True
    )
    timeout: float = option("1h", v.duration, "for one attempt of a job that names none", live=True)
    max_timeout: float = option("24h", v.duration, "the longest timeout that a message may ask for", live=True)
    stall_timeout: float = option(
        "2m", v.duration, "a tool or transfer that moves nothing for so long is ended", live=True
    )
    max_attempts: int = option("5", v.whole(1, 100), "tries of a job whose failure may pass", live=True)
    max_crashes: int = option("3", v.whole(1, 100), "times that a job may take its daemon down while it runs alone")
    retry_delay: float = option("10", v.duration, "seconds before the second try; doubled for each further one")
    drain_timeout: float = option(
        "0", v.duration, "how long stop waits for running jobs; 0: as long as they take", live=True
    )
    nice: int = option("10", v.whole(0, 19), "niceness of the tools", live=True)
    memory_per_job: int = option("4G", v.size, "address space of each tool; 0: no limit", live=True)
    max_source_bytes: int = option("100G", v.size, "largest source; 0: no limit", live=True)
    max_pixels: int = option("36M", v.count, "pixels of the largest frame; 0: no limit", live=True)
    max_duration: float = option("24h", v.duration, "longest result; 0: no limit", live=True)
    # files
    pid_file: str = option("", v.path, "lock and pid; empty: /run/videod/ENV.pid, or below state_dir when not root")
    debug_log: str = option("", v.path, "the log; empty: /var/log/videod/ENV.log, or below state_dir when not root")
    log_level: str = option(
        "info", v.one_of("debug", "info", "warning", "error"), "debug, info, warning or error", live=True
    )
    log_format: str = option("text", v.one_of("text", "json"), "text or json")
    state_dir: str = option(
        "", v.path, "what is kept: empty: /var/lib/videod/ENV, ~/.local/state/videod/ENV when not root"
    )
    work_dir: str = option("", v.path, "scratch folders of running jobs; empty: state_dir/work")
    min_free: int = option(
        "1G", v.size, "below so much free space in work_dir no message is taken; 0: no limit", live=True
    )
    upload: str = option("", v.upload_base, "where results go by default; empty: file:STATE_DIR/clips/")
    upload_paths: tuple[str, ...] = option(
        "", v.paths, "folders that file: uploads may go below; empty: the folder of upload", live=True
    )
    download_dir: str = option("", v.path, "where downloads go; empty: state_dir/downloads")
    allow_paths: tuple[str, ...] = option(
        "", v.paths, "folders that file: sources may lie below; empty: none", live=True
    )
    shared_paths: tuple[str, ...] = option("", v.paths, "folders that every node has mounted", live=True)
    fsync: bool | None = option(
        "",
        lambda t: v.yes_no(t) if t else None,
        "yes: results survive a power cut; empty: yes for uploads, no for downloads",
    )
    # network
    allow_hosts: tuple[str, ...] = option(
        "*",
        v.hosts,
        "hosts that may be reached; * does not include loopback, link-local and metadata addresses",
        live=True,
    )
    deny_hosts: tuple[str, ...] = option("", v.hosts, "hosts that may not be reached; wins over allow_hosts", live=True)
    proxy: str = option("", v.proxy_url, "an HTTP proxy for all fetches, as http://host:port")
    fetch_connections: int = option("4", v.whole(1, 64), "ranges of one source fetched at once")
    connections: int = option("100", v.whole(1, 10000), "connections of all downloads together")
    connections_per_task: int = option("20", v.whole(1, 1000), "connections of one download")
    connections_per_host: int = option("6", v.whole(1, 1000), "connections of downloads to one host")
    cache_bytes: int = option("0", v.size, "parts of sources kept for other jobs on them; 0: none", live=True)
    recorder_jobs: int = option("1", v.whole(1, 100), "jobs at one recorder at once, over all nodes")
    # secrets, rights
    callback_secret: str = option("", v.text, "key that callbacks are signed with; take it from ${file:PATH}")
    secrets_file: str = option("", v.path, "a second ini with secrets, mode 0600")
    user: str = option("", v.word, "run as this user when started by root")
    group: str = option("", v.word, "and this group; empty: the user's")

    @property
    def secret_values(self) -> tuple[str, ...]:
        """What `videod check` and the log must never show."""
        found = [self.callback_secret, self.import_key, self.web.secret]
        found += [account.hash for account in (*self.web.users, *self.web.tokens)]
        for storage in self.storage.values():
            found += [storage.secret_key, storage.session_token]
        for source in self.sources.values():
            found += [source.password, *source.header]
        found += [recorder.password for recorder in self.recorders.values()]
        # the longest first: one secret may begin another, whose rest would stay
        return tuple(sorted((text for text in found if text), key=len, reverse=True))
