"""A real Zabbix for the tests: database, server and web interface in a folder of their own, ended by pid.

All of them run without privileges, which PostgreSQL and Zabbix insist on: as `nobody` where root runs tests.
"""

import contextlib
import gzip
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.redis_server import free_port

SHARED = Path("/usr/share")
SQL = SHARED / "zabbix-server-pgsql"
PAGES = SHARED / "zabbix"
NOBODY = 65534


def _program(name: str) -> str | None:
    """Where a program is; Debian keeps servers where users do not look."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    path = os.pathsep.join([*map(str, reversed(places)), os.environ.get("PATH", ""), "/usr/sbin"])
    return shutil.which(name, path=path)


PROGRAMS = {
    name: _program(name) for name in ("zabbix_server", "postgres", "initdb", "psql", "php", "setpriv")
}
needs_zabbix = pytest.mark.skipif(
    not all(PROGRAMS.values()) or not SQL.is_dir() or not (PAGES / "api_jsonrpc.php").exists(),
    reason="no Zabbix (Debian: apt install postgresql zabbix-server-pgsql zabbix-frontend-php php-pgsql)",
)


def _command(name: str, *arguments: object) -> list[str]:
    program = PROGRAMS[name]
    assert program is not None
    command = [program, *map(str, arguments)]
    if os.getuid() == 0:
        drop = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        return [str(PROGRAMS["setpriv"]), *drop, *command]
    return command


class Api:
    """The JSON-RPC interface; an error of it fails the test."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._token: str | None = None

    async def login(self) -> None:
        """As the administrator that every new Zabbix has."""
        self._token = await self("user.login", username="Admin", password="zabbix")

    async def __call__(self, method: str, **parameters: Any) -> Any:
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters, "auth": self._token}
        if self._token is None:
            del asked["auth"]
        async with self._session.post(self._url, json=asked) as response:
            text = await response.text()
            assert response.status == 200, text
            answer = await response.json(content_type=None)
        assert "result" in answer, answer
        return answer["result"]


class Zabbix:
    """Its folder, with the logs, and the URL of its interface."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api_jsonrpc.php"

    def log(self) -> str:
        """The ends of all logs, without the requests that went well."""
        texts = []
        for path in sorted(self.folder.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()
            told = [
                line for line in lines if not line.endswith((" Accepted", " Closing", "/api_jsonrpc.php"))
            ]
            texts.append("\n".join([f"{path.name}:", *told[-20:]]))
        return "\n".join(texts)

    def start(self) -> None:
        self._database()
        self._server()
        self._interface()

    def stop(self) -> None:
        """Last started, first ended. Each is a process of its own with children that it ends itself."""
        for process in reversed(self._running):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def _run(self, name: str, *arguments: object) -> None:
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            command = _command(name, *arguments)
            self._running.append(subprocess.Popen(command, stdout=output, stderr=output, cwd=self.folder))

    def _psql(self, *arguments: object, sql: bytes = b"") -> None:
        command = _command(
            "psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "zabbix", *arguments
        )
        done = subprocess.run(command, input=sql, capture_output=True, cwd=self.folder, timeout=120)
        assert done.returncode == 0, done.stderr.decode()[-2000:]

    def _database(self) -> None:
        """PostgreSQL on a socket in the folder, with what Zabbix expects to find; a crash loses it."""
        data = self.folder / "data"
        command = _command(
            "initdb", "-D", data, "-U", "zabbix", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"
        )
        done = subprocess.run(command, capture_output=True, cwd=self.folder, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        careless = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "listen_addresses=")
        options = [word for setting in careless for word in ("-c", setting)]
        self._run("postgres", "-D", data, "-k", self.folder, *options)
        until = time.monotonic() + 30.0
        while True:
            try:
                self._psql("-d", "postgres", sql=b"CREATE DATABASE zabbix")
                break
            except AssertionError:
                assert time.monotonic() < until, self.log()
                time.sleep(0.1)
        for part in ("schema", "images", "data"):
            self._psql("-d", "zabbix", sql=gzip.decompress((SQL / f"{part}.sql.gz").read_bytes()))

    def _server(self) -> None:
        settings = {
            "LogType": "console",
            "PidFile": self.folder / "zabbix_server.pid",
            "SocketDir": self.folder,
            "DBHost": self.folder,
            "DBName": "zabbix",
            "DBUser": "zabbix",
            "CacheUpdateFrequency": 1,
            "HousekeepingFrequency": 0,
            "StartHTTPPollers": 1,
            "StartPollers": 1,
            "StartPreprocessors": 1,
            "StartDBSyncers": 1,
            "StartPingers": 0,
            "StartDiscoverers": 0,
            "StartTrappers": 0,  # nobody sends to it, so that it need not listen
        }
        conf = self.folder / "zabbix_server.conf"
        conf.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        self._run("zabbix_server", "-f", "-c", conf)

    def _interface(self) -> None:
        """A copy of the pages, since Debian's look for their configuration in /etc."""
        pages, conf = self.folder / "pages", self.folder / "zabbix.conf.php"
        shutil.copytree(PAGES, pages, ignore_dangling_symlinks=True)
        reader = pages / "include" / "classes" / "core" / "CConfigFile.php"
        where, found = re.subn(r"(CONFIG_FILE_PATH = )'[^']*'", rf"\1'{conf}'", reader.read_text())
        assert found == 1
        reader.write_text(where)
        conf.write_text(
            "<?php\n$DB['TYPE'] = 'POSTGRESQL';\n"
            f"$DB['SERVER'] = '{self.folder}';\n$DB['PORT'] = '0';\n"
            "$DB['DATABASE'] = 'zabbix';\n$DB['USER'] = 'zabbix';\n"
            "$DB['PASSWORD'] = '';\n$DB['SCHEMA'] = '';\n"
            "$DB['ENCRYPTION'] = false;\n$DB['DOUBLE_IEEE754'] = true;\n"
            "$ZBX_SERVER_NAME = '';\n$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;\n"
        )
        limits = ("max_execution_time=120", "post_max_size=32M", "memory_limit=512M", "date.timezone=UTC")
        options = [word for setting in limits for word in ("-d", setting)]
        self._run("php", *options, "-S", f"127.0.0.1:{self.port}", "-t", pages)


@contextlib.contextmanager
def zabbix() -> Iterator[Zabbix]:
    with tempfile.TemporaryDirectory(prefix="zabbix-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if os.getuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        running = Zabbix(folder)
        try:
            running.start()
            yield running
        finally:
            running.stop()
