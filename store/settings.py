"""The `TUNEBOARD_*` settings, read from the environment; the embedded default needs none."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

SOCKET_PATH_LIMIT_BYTES = 103  # macOS takes 103 and Linux 107 (sun_path, less the final zero)
SHORT_SOCKETS_DIR = Path("/tmp")  # noqa: S108  # short, and the same for every process


class Settings(BaseSettings):
    """Where things are and how patient everybody is."""

    model_config = SettingsConfigDict(env_prefix="TUNEBOARD_", frozen=True, extra="ignore")

    data_dir: Path = Field(
        default_factory=lambda: Path.home() / ".tuneboard",
        description="Holds the database, datasets, runs, logs and the broker's socket.",
    )
    host: str = Field("127.0.0.1", description="Address the web server listens on.")
    port: int = Field(8765, description="Port the web server listens on.", ge=1, le=65535)
    database_url: str = Field(
        "", description="PostgreSQL as postgresql://…; empty: SQLite in the data directory."
    )
    broker_url: str = Field(
        "", description="Redis as redis://…; empty: the embedded Valkey in the data directory."
    )
    queue: str = Field("", description="Prefix of the queue names; empty: made from the database.")
    access_tokens: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="name:token pairs, separated by commas; needed beyond 127.0.0.1."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Host names browsers may use beside this machine's own, with commas."
    )
    webhook_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Hosts that webhooks may call though they are this machine or link-local, with "
        "commas.",
    )
    data_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description="Folders under which datasets and weight files may be read, with colons."
    )
    dataset_mirror: Path | None = Field(
        None, description="Folder searched for a dataset's archive before it is downloaded."
    )
    secret_key: SecretStr = Field(
        SecretStr(""), description="Signs cookies; empty: made once and kept in the data directory."
    )
    heartbeat_s: float = Field(5.0, gt=0, description="Seconds between renewals of a lease.")
    lease_s: float = Field(60.0, gt=0, description="Seconds after which a silent run is taken.")
    tick_s: float = Field(10.0, gt=0, description="Seconds between the reconciler's looks.")
    cancel_grace_s: float = Field(3.0, gt=0, description="Seconds from SIGTERM to SIGKILL.")
    max_crashes: int = Field(3, ge=1, description="Trainer crashes without progress.")
    max_losses: int = Field(20, ge=1, description="Lost workers or machines a run survives.")
    upload_limit_bytes: int = Field(4 * 1024**3, gt=0, description="Size of an uploaded archive.")
    upload_files_limit: int = Field(200_000, gt=0, description="Files in an uploaded archive.")
    unpacked_limit_bytes: int = Field(20 * 1024**3, gt=0, description="Size when unpacked.")
    model_memory_bytes: int = Field(
        1024**3, gt=0, description="Of trained models kept loaded for what is tried on them."
    )
    model_idle_s: float = Field(600.0, gt=0, description="Seconds until they are forgotten.")
    model_warm_s: float = Field(
        15.0, ge=0, description="Idle seconds until their server starts ahead; 0: when asked."
    )

    @field_validator("access_tokens", "allowed_hosts", "webhook_hosts", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("data_roots", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(Path(part).resolve() for part in value.split(os.pathsep) if part)
        return value

    @field_validator("data_dir", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def store_url(self) -> str:
        """The database's SQLAlchemy address, with the driver named."""
        if not self.database_url:
            return f"sqlite:///{self.data_dir / 'tuneboard.db'}"
        return with_driver(self.database_url)

    @property
    def celery_broker_url(self) -> str:
        """The broker's address as Celery reads it."""
        return self.broker_url or f"redis+socket://{quote(str(self.broker_socket))}"

    @property
    def broker_dir(self) -> Path:
        """Holds what the embedded broker keeps on disk."""
        return self.data_dir / "broker"

    @property
    def broker_socket(self) -> Path:
        """The embedded broker's Unix socket; elsewhere where the data directory is too deep."""
        socket = self.broker_dir / "valkey.sock"
        if len(os.fsencode(socket)) <= SOCKET_PATH_LIMIT_BYTES:
            return socket
        key = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return SHORT_SOCKETS_DIR / f"tuneboard-{os.getuid()}" / f"{key}.sock"

    @property
    def queue_prefix(self) -> str:
        """A prefix that two installations on one Redis do not share."""
        return self.queue or "tuneboard-" + hashlib.sha256(self.store_url.encode()).hexdigest()[:12]

    @property
    def train_queue(self) -> str:
        """The queue that training workers hear."""
        return f"{self.queue_prefix}.train"

    @property
    def interactive_queue(self) -> str:
        """The queue that the interactive worker hears."""
        return f"{self.queue_prefix}.interactive"

    @property
    def runs_dir(self) -> Path:
        """Holds one folder a run."""
        return self.data_dir / "runs"

    @property
    def datasets_dir(self) -> Path:
        """Holds one folder a dataset."""
        return self.data_dir / "datasets"

    @property
    def jobs_dir(self) -> Path:
        """Holds one folder a job after training."""
        return self.data_dir / "jobs"

    @property
    def uploads_dir(self) -> Path:
        """Holds uploaded archives until they are unpacked."""
        return self.datasets_dir / "uploads"

    def run_dir(self, run_id: int) -> Path:
        """Return the folder of a run."""
        return self.runs_dir / str(run_id)

    def attempt_dir(self, run_id: int, attempt: int) -> Path:
        """Return the folder an attempt writes to."""
        return self.run_dir(run_id) / f"attempt-{attempt:03d}"

    def job_dir(self, job_id: int) -> Path:
        """Return the folder of a job."""
        return self.jobs_dir / str(job_id)

    def job_inputs_dir(self, name: str = "") -> Path:
        """Return the folder of what was sent for one job, or of all of these."""
        return self.jobs_dir / "inputs" / name

    def dataset_dir(self, dataset_id: int) -> Path:
        """Return the folder of a dataset."""
        return self.datasets_dir / str(dataset_id)


def with_driver(database_url: str) -> str:
    """Return the address with PostgreSQL's driver named, as SQLAlchemy wants it."""
    for plain in ("postgresql://", "postgres://"):
        if database_url.startswith(plain):
            return "postgresql+psycopg://" + database_url.removeprefix(plain)
    return database_url
