"""One private Valkey (or Redis): its data folder, its settings, its start. It answers on a unix socket only."""

import re
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.host.binaries import valkey_program
from backend.host.errors import HostError
from backend.host.orphans import orphaned_server, stop
from backend.host.server_process import ServerProcess
from backend.i18n import _


class PrivateValkey:
    def __init__(self, home: Path, socket_folder: Path, *, log_path: Path, is_durable: bool) -> None:
        self._socket = socket_folder / "redis.sock"
        self.redis_url = f"unix://{quote(str(self._socket), safe='/')}?db=0"
        self.server = ServerProcess(
            "Redis-compatible server", log_path=log_path, stop_signal=signal.SIGTERM, forced_stop_signal=signal.SIGKILL)
        self._home = home
        self._is_durable = is_durable

    def start(self) -> None:
        """Start it on its data folder and wait until it answers. Raises HostError."""
        program = valkey_program()
        data = self._home / _data_folder_name(program)
        data.mkdir(exist_ok=True, mode=0o700)
        pid_file = data / "server.pid"
        if orphan := orphaned_server(pid_file, data):
            stop(orphan, (signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))
        self._socket.unlink(missing_ok=True)
        self.server.start([
            program, "--port", "0", "--unixsocket", self._socket, "--unixsocketperm", "700", "--dir", data, "--daemonize", "no",
            "--appendonly", "yes" if self._is_durable else "no", "--appendfsync", "everysec", "--save", "",
            "--maxmemory-policy", "noeviction"])
        pid_file.write_text(str(self.server.pid))
        self.server.wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            with redis.Redis(unix_socket_path=str(self._socket), retry=Retry(NoBackoff(), 0)) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.BusyLoadingError):
            return False


def _data_folder_name(program: Path) -> str:
    """One folder for each engine and major version: Redis 7 dies on Valkey 9's files, Redis 6.2 ignores them silently."""
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True).stdout
    found = re.match(r"(\w+) server v=(\d+)", said)  # "Valkey server v=9.1.2 ...", "Redis server v=7.0.15 ..."
    if not found:
        raise HostError(_("{program} does not run on this machine. Set REDIS_URL to a Redis or Valkey that does.").format(
            program=program))
    return f"{found[1].lower()}{found[2]}"
