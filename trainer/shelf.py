"""The models that the model server keeps at hand: those used last, as many as its memory holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from trainer import resolve
from trainer.checkpoint import BEST_FILE
from trainer.errors import RunFailure
from trainer.trained import Trained, load_trained

Load = Callable[[Path], Trained]


class Shelf:
    """Trained models by the folder of their run's last attempt."""

    def __init__(self, limit_bytes: int, load: Load | None = None) -> None:
        """Keep models of up to `limit_bytes` together; the one asked for last always stays.

        Args:
            load: Reads a model; by default onto the CPU, as a GPU belongs to the runs.
        """
        self._limit_bytes = limit_bytes
        self._load = load or (lambda attempt: load_trained(attempt, "cpu"))
        self._kept: OrderedDict[tuple[str, int], Trained] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def model(self, attempt: Path) -> tuple[Trained, bool]:
        """Return a model, torch set up for it, and whether it was at hand already.

        Raises:
            RunFailure: If the run's files are not there or not whole.
        """
        key = (str(attempt), _changed_at(attempt))
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            resolve.apply(found.choices)  # models differ in the threads they were trained with
            return found, True
        model = self._kept[key] = self._load(attempt)
        while len(self._kept) > 1 and self.size_bytes > self._limit_bytes:
            self._kept.popitem(last=False)
        return model, False

    @property
    def size_bytes(self) -> int:
        """What the parameters and buffers of all models take."""
        return sum(
            tensor.nbytes
            for model in self._kept.values()
            for tensor in model.network.module.state_dict().values()
        )


def _changed_at(attempt: Path) -> int:
    """Return when the weights were written, so that others under the same name are other ones.

    Raises:
        RunFailure: If they are gone.
    """
    file = attempt / "checkpoints" / BEST_FILE
    try:
        return file.stat().st_mtime_ns
    except OSError as error:
        raise RunFailure(
            "The trained model is gone",
            f"`{file}` is not there: {error.strerror or error}.",
            "Launch the run again.",
        ) from error
