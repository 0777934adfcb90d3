"""A comparison as Markdown, to paste into a report."""

from __future__ import annotations

from app.exports.cells import markdown_table, markdown_text
from app.exports.report import Report
from app.figures.compare import ResultRow
from app.pages.templating import count, duration, percent, timestamp

NO_VERDICT = "A verdict needs at least two runs."
RESULTS = (
    "Run",
    "Status",
    "Best val. accuracy",
    "at epoch",
    "Test accuracy",
    "Macro F1",
    "Trained for",
    "Parameters trained",
)


def export_markdown(report: Report) -> str:
    """Return the report; what people typed shows as text, whatever it holds."""
    info = report.info
    parts = [f"# {markdown_text(report.title)}"]
    if report.note:
        parts.append(markdown_text(report.note))
    parts.append(f"Made {timestamp(report.made_at)} by Tuneboard.")
    parts += [f"> {markdown_text(warning)}" for warning in info.warnings]
    parts += ["## Verdict", *_verdict(report)]
    parts += ["## Results", markdown_table(RESULTS, [_result(report, row) for row in info.table])]
    parts.append("Intervals are Wilson's, 95 %.")
    parts.append("## What differs in the specs")
    if report.groups:
        columns = ["Field", *info.labels.values()]
        parts.append(
            markdown_table(
                columns,
                [
                    [line.path, *(cell.value or "–" for cell in line.cells)]
                    for group in report.groups
                    for line in group.lines
                ],
            )
        )
    else:
        parts.append("Nothing: the specs are the same.")
    notes = [run for run in info.runs if run.note]
    if notes:
        parts.append("## Notes")
        parts += [f"- **{markdown_text(run.name)}**: {markdown_text(run.note)}" for run in notes]
    return "\n\n".join(parts) + "\n"


def _verdict(report: Report) -> list[str]:
    if report.verdict is None:
        return [NO_VERDICT]
    found = report.verdict
    baseline = markdown_text(found.evidence.baseline.label)
    lines = [f"Against {baseline}, on {markdown_text(found.images)}."]
    lines += [
        f"- **{markdown_text(line.label)}**: {markdown_text(line.sentence)}" for line in found.lines
    ]
    return [*lines, *map(markdown_text, (*found.notes, *found.methods))]


def _result(report: Report, row: ResultRow) -> list[str]:
    return [
        row.label,
        row.status,
        percent(row.best_val_accuracy, 2) + _within(report, row.run_id, "val"),
        str(row.best_epoch or "–"),
        percent(row.test_accuracy, 2) + _within(report, row.run_id, "test"),
        percent(row.macro_f1, 2),
        duration(row.training_s),
        count(row.parameters_trained),
    ]


def _within(report: Report, run_id: int, split: str) -> str:
    interval = report.intervals.get((run_id, split))
    return f" ({percent(interval[0])} to {percent(interval[1])})" if interval else ""
