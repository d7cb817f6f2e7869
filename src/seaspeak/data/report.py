"""What a check of data found, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of trouble.

    Attributes:
        code: stable short name, such as ``"missing-file"``.
        serious: whether training would stop or silently learn nothing from these utterances.
        problem: what is wrong; the number of places follows it in brackets.
        fix: what to do about it.
        places: where, with what was found there: ``("train.json:3", "clips/a.wav")``.
    """

    code: str
    serious: bool
    problem: str
    fix: str = ""
    places: Sequence[tuple[str, str]] = ()

    def lines(self) -> list[str]:
        """Return the finding as text: what, the first places, what to do."""
        shown = [f"    {where}  {what}".rstrip() for where, what in self.places[:_SHOWN]]
        more = len(self.places) - len(shown)
        shown += [f"    and {more} more"] if more else []
        shown += [f"    fix: {self.fix}"] if self.fix else []
        return [f"{'error' if self.serious else 'warning'}  {self.problem} ({len(self.places)})", *shown]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found.

    Attributes:
        name: what was checked.
        utterances: lines that hold one.
        hours: the sum of their durations.
        facts: rows of name and value that describe the data.
        findings: what is wrong, serious matters first.
    """

    name: str
    utterances: int
    hours: float
    facts: dict[str, str] = field(default_factory=dict)
    findings: Sequence[Finding] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing serious was found."""
        return not any(finding.serious for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0 if nothing serious was found, else 1."""
        return 0 if self.ok else 1

    def lines(self) -> list[str]:
        """Return the report as text."""
        width = max((len(name) for name in self.facts), default=0)
        head = [f"{self.name}: {self.utterances} utterances, {self.hours:.2f} h"]
        facts = [f"  {name:{width}}  {value}" for name, value in self.facts.items()]
        body = [line for finding in self.findings for line in finding.lines()]
        return head + facts + (body or ["nothing is wrong with them"])

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, with every place."""
        return {
            "name": self.name,
            "ok": self.ok,
            "utterances": self.utterances,
            "hours": round(self.hours, 4),
            "facts": self.facts,
            "findings": [
                {
                    "code": finding.code,
                    "severity": "error" if finding.serious else "warning",
                    "count": len(finding.places),
                    "problem": finding.problem,
                    "fix": finding.fix,
                    "places": [{"where": where, "what": what} for where, what in finding.places],
                }
                for finding in self.findings
            ],
        }
