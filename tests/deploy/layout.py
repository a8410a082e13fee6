"""What an Amazon Linux 2023 machine of Elastic Beanstalk does with a bundle, on other ports and without its rights.

The proxy's files stand as the platform lays them out: nginx.conf includes conf.d/*.conf inside http {} and
conf.d/elasticbeanstalk/*.conf inside server {}, where the platform's own 00_application.conf and healthd.conf lie; the bundle's
.platform/nginx/ is copied over them. Sources: AWS' developer guide, "Reverse proxy configuration" and "Enhanced health log
format"; the generated files as published from running machines (yoochangyeon.github.io/elastic-beanstalk-nginx-config).
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.web.test_server import WAIT_S, Server, end, free_port

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
BALANCER = "127.0.0.2"  # the check's load balancer: trusted by the proxy as the private networks are
SERVICE = "127.0.0.1:8000"
PAGE = "https://shineskincollective.com"  # an origin that production allows
LOGS = "/var/log/nginx/"
NGINX_CONF = r"""
user                    nginx;
error_log               log/error.log warn;
pid                     nginx.pid;
worker_processes        auto;
worker_rlimit_nofile    200000;
events {
    worker_connections  1024;
}
http {
    server_tokens off;
    include       mime.types;
    default_type  application/octet-stream;
    log_format  main  '$remote_addr - $remote_user [$time_local] "$request" '
                      '$status $body_bytes_sent "$http_referer" '
                      '"$http_user_agent" "$http_x_forwarded_for"';
    include       conf.d/*.conf;
    map $http_upgrade $connection_upgrade {
        default     "upgrade";
    }
    server {
        listen        PORT default_server;
        access_log    log/access.log main;
        client_header_timeout 60;
        client_body_timeout   60;
        keepalive_timeout     60;
        gzip                  off;
        gzip_comp_level       4;
        gzip_types text/plain text/css application/json application/javascript;
        include conf.d/elasticbeanstalk/*.conf;
    }
}
"""
PLATFORM_FILES = {
    "mime.types": "types { text/html html; application/json json; }",
    "conf.d/healthd_logformat.conf": (
        """log_format healthd '$msec"$uri"$status"$request_time"$upstream_response_time"$http_x_forwarded_for';"""
    ),
    "conf.d/elasticbeanstalk/00_application.conf": """location / {
    proxy_pass          http://127.0.0.1:8000;
    proxy_http_version  1.1;
    proxy_set_header    Connection          $connection_upgrade;
    proxy_set_header    Upgrade             $http_upgrade;
    proxy_set_header    Host                $host;
    proxy_set_header    X-Real-IP           $remote_addr;
    proxy_set_header    X-Forwarded-For     $proxy_add_x_forwarded_for;
}""",
    "conf.d/elasticbeanstalk/healthd.conf": r"""if ($time_iso8601 ~ "^(\d{4})-(\d{2})-(\d{2})T(\d{2})") {
    set $year $1; set $month $2; set $day $3; set $hour $4;
}
access_log log/healthd.log healthd;""",
}
OF_THE_CHECK = f"""set_real_ip_from {BALANCER};
client_body_temp_path spool; proxy_temp_path spool; fastcgi_temp_path spool; uwsgi_temp_path spool; scgi_temp_path spool;
"""


@dataclass(frozen=True)
class Release:
    """An unpacked bundle and the folder of the programs that run it."""

    folder: Path
    programs: Path

    @property
    def properties(self) -> dict[str, str]:
        """The environment properties that .ebextensions set."""
        document = yaml.safe_load((self.folder / ".ebextensions/01_environment.config").read_text())
        return dict(document["option_settings"]["aws:elasticbeanstalk:application:environment"])

    def environment(self, **changes: str) -> dict[str, str]:
        """Properties as on a machine, without S3, with the release's programs first in PATH."""
        path = f"{self.programs}:{os.environ['PATH']}"
        usual = {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1", "S3_BUCKET": ""}
        return {**os.environ, **self.properties, **usual, **changes}


def unpack(bundle: Path, folder: Path, programs: Path | None = None) -> Release:
    """Unzip as the platform does: with the run bits."""
    with zipfile.ZipFile(bundle) as archive:
        for entry in archive.infolist():
            Path(archive.extract(entry, folder)).chmod(entry.external_attr >> 16 & 0o777)
    return Release(folder, programs or Path(sys.executable).parent)


@contextmanager
def serving(release: Release, log: Path, **changes: str) -> Iterator[Server]:
    """The service, started by the line of the Procfile and ready; ended by SIGTERM."""
    line = (release.folder / "Procfile").read_text().removeprefix("web:")
    port = free_port()
    environment = release.environment(**{"PORT": str(port), "MODEL_CACHE_DIR": str(log.parent / "cache"), **changes})
    with log.open("wb") as stream:
        command = shlex.split(line)
        process = subprocess.Popen(
            [shutil.which(command[0], path=environment["PATH"]) or command[0], *command[1:]],
            cwd=release.folder,
            env=environment,
            stdout=stream,
            stderr=stream,
        )
        try:
            server = Server(process, port, log)
            server.wait_ready()
            yield server
        finally:
            end(process)


@dataclass
class Proxy:
    """A running nginx with the bundle's configuration."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def logged(self, name: str) -> str:
        return (self.folder / "log" / f"{name}.log").read_text()

    def requests_logged(self) -> list[dict[str, Any]]:
        """Return the lines of the access log, each of which is JSON."""
        return [json.loads(line) for line in self.logged("access").splitlines()]

    def lead_to(self, port: int) -> None:
        """Send requests to another service from now on, as a new release's proxy does; those in flight end where they are."""
        lead(self.folder, port)
        self.process.send_signal(signal.SIGHUP)

    def refuse_spooling(self) -> None:
        """From now on, writing a body or an answer to the disk fails."""
        spool = self.folder / "spool"
        if os.geteuid() == 0:
            os.chown(spool, 0, 0)
        spool.chmod(0o555)


@contextmanager
def proxying(release: Release, port: int) -> Iterator[Proxy]:
    """The real nginx, laid out as on a machine, in front of a service on this port."""
    if NGINX is None:
        pytest.skip("nginx is not installed: apt-get install nginx")
    folder = Path(tempfile.mkdtemp(prefix="nginx-"))
    own_port = free_port()
    lay_out(release, folder, own_port)
    lead(folder, port)
    nobody = _give_to_nobody(folder)
    command = [NGINX, "-p", str(folder), "-c", "nginx.conf", "-e", "log/error.log", "-g", "daemon off;"]
    process = subprocess.Popen(command, user=nobody, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    proxy = Proxy(process, folder, own_port)
    try:
        _wait_until_it_listens(proxy)
        yield proxy
    finally:
        end(process)
        shutil.rmtree(folder)


def lay_out(release: Release, folder: Path, port: int) -> None:
    """Write the platform's files, then copy the bundle's over them."""
    for name in (
        "log/healthd",
        "html",
        "spool",
        "conf.d/elasticbeanstalk",
    ):  # without html no log whose name has variables
        (folder / name).mkdir(parents=True)
    for name, text in {"nginx.conf": NGINX_CONF.replace("PORT", str(port)), **PLATFORM_FILES}.items():
        (folder / name).write_text(text)
    shutil.copytree(release.folder / ".platform/nginx", folder, dirs_exist_ok=True)
    service = folder / "conf.d/elasticbeanstalk/service.conf"
    service.write_text(service.read_text().replace(LOGS, "log/"))
    (folder / "conf.d/99_check.conf").write_text(OF_THE_CHECK)


def lead(folder: Path, port: int) -> None:
    """Put the service's address of the check into the bundle's configuration."""
    file = folder / "conf.d/elasticbeanstalk/service.conf"
    there = f"proxy_pass http://127.0.0.1:{port};"
    text, replaced = re.subn(r"proxy_pass http://[^;]+;", there, file.read_text())
    assert replaced == 1
    file.write_text(text)


def hook(release: Release, name: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a file of .platform as the platform does: executed, in the release's folder."""
    return subprocess.run(
        [f".platform/{name}"],
        cwd=release.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _give_to_nobody(folder: Path) -> int | None:
    """Where the tests run as root, the proxy does not: the user to run as, who owns the folder."""
    folder.chmod(0o755)
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam("nobody")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
    return user.pw_uid


def _wait_until_it_listens(proxy: Proxy) -> None:
    deadline = time.monotonic() + WAIT_S
    while not (proxy.folder / "nginx.pid").is_file():
        assert proxy.process.poll() is None, proxy.logged("error")
        assert time.monotonic() < deadline, proxy.logged("error")
        time.sleep(0.02)
