"""The swept fields of a study, a value a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.figures.groups import NOT_GROUPED


def swept_fields(
    paths: Sequence[str], fields: Mapping[int, Mapping[str, str]], run_ids: Sequence[int]
) -> dict[str, list[str]]:
    """Return the swept fields that are not the same in all of these runs, by path.

    A run's name and seed are no settings; unset fields are empty.

    Args:
        paths: Of the study, as `store.sweeps.swept_paths` returns them.
        fields: As `store.spec_fields` returns them.
        run_ids: In the order wanted.
    """
    found: dict[str, list[str]] = {}
    for path in paths:
        if path in NOT_GROUPED:
            continue
        values = [fields.get(run_id, {}).get(path, "") for run_id in run_ids]
        if len(set(values)) > 1:
            found[path] = values
    return found
