"""The rules of English text in words: a pattern each, and what its match is spoken as."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from seaspeak.text import spoken_forms as forms
from seaspeak.text.numbers import cardinal, decimal, ordinal, plural, spelt, year
from seaspeak.text.pronunciations import cmudict

Match = re.Match[str]

_INTEGER = r"\d{1,3}(?:,\d{3})+|\d+"
_NUMBER = rf"(?:(?:{_INTEGER})(?:\.\d+)?|\.\d+)"
_SCALE = r"(?:hundred|thousand|million|billion|trillion)"
_MONTH = (
    r"(?:[Jj]an(?:uary)?|[Ff]eb(?:ruary)?|[Mm]ar(?:ch)?|[Aa]pr(?:il)?|[Mm]ay|[Jj]une?|[Jj]uly?|[Aa]ug(?:ust)?"
    r"|[Ss]ept?(?:ember)?|[Oo]ct(?:ober)?|[Nn]ov(?:ember)?|[Dd]ec(?:ember)?)"
)
_DAY = r"(?:[12]\d|3[01]|0?[1-9])"
_YEAR = r"[12]\d{3}"
_UNIT = "|".join(map(re.escape, sorted(forms.UNITS, key=len, reverse=True)))
_SIGNS = "|".join(map(re.escape, forms.CURRENCIES))
_HALF_DAY = r"[AaPp]\.?\s?[Mm]\b\.?"
_ZONE = r"(?:[ECMP]\.?[SD]\.?T|GMT|UTC|[ecmp]\.?[sd]\.?t)\b\.?"


def _electronic(match: Match) -> str:
    parts = re.findall(r"[A-Za-z]+|\d+|[^\w\s]|_|[^\W\d_]+", re.sub("^https?://", "", match[0]))
    return " ".join(_electronic_part(part) for part in parts)


def _electronic_part(part: str) -> str:
    lower = part.lower()
    if part.isdigit():
        return spelt(part)
    if lower in forms.SITES:
        return forms.SITES[lower]
    if part in forms.ELECTRONIC or not part.isalpha():
        return forms.ELECTRONIC.get(part, "")
    return part if len(part) > 3 and lower in cmudict() else " ".join(lower)


def _telephone(match: Match) -> str:
    return ", ".join(spelt(group) for group in re.findall(r"\d+", match[0]))


def _money(match: Match) -> str:
    sign, number, short, scale = match[1], match[2], match[3], match[4]
    one, many, cent, cents = forms.CURRENCIES[sign]
    if scale or short:
        return f"{decimal(number)} {scale or forms.SCALES[short.lower()]} {many}"
    whole, _, fraction = number.replace(",", "").partition(".")
    if len(fraction) != 2 or not cent:
        return f"{decimal(number)} {one if number == '1' else many}"
    coins = f"{cardinal(str(int(fraction)))} {cent if int(fraction) == 1 else cents}" if int(fraction) else ""
    notes = f"{cardinal(whole)} {one if int(whole) == 1 else many}" if whole.strip("0") or (not coins and whole) else ""
    return " and ".join(filter(None, (notes, coins))) or f"zero {many}"


def _month(written: str) -> str:
    whole = forms.MONTHS[written[:4].lower() if written[:4].lower() == "sept" else written[:3].lower()]
    return whole.capitalize() if written[0].isupper() else whole


def _month_first(match: Match) -> str:
    month, day, comma, when = match.groups()
    return f"{_month(month)} {ordinal(str(int(day)))}{comma or ''}" + (f" {year(when)}" if when else "")


def _day_first(match: Match) -> str:
    day, month, when = match.groups()
    return f"the {ordinal(str(int(day)))} of {_month(month)}" + (f" {year(when)}" if when else "")


def _month_year(match: Match) -> str:
    return f"{_month(match[1])} {year(match[2])}"


def _iso_date(match: Match) -> str:
    return _numeric_date(match[2], match[3], match[1])


def _us_date(match: Match) -> str:
    return _numeric_date(match[1], match[2], match[3])


def _numeric_date(month: str, day: str, when: str) -> str:
    if int(month) > 12:
        month, day = day, month
    if not 1 <= int(month) <= 12 or not 1 <= int(day) <= 31:
        return f"{cardinal(month)} {cardinal(day)} {year(when)}"
    return f"{list(forms.MONTHS.values())[int(month) - 1]} {ordinal(str(int(day)))} {year(when)}"


def _decade(match: Match) -> str:
    digits = match[1]
    return plural(year(digits) if len(digits) == 4 else cardinal(digits))


def _clock(match: Match) -> str:
    hours, minutes, seconds, half, zone = match.groups()
    words = [cardinal(str(int(hours)))]
    if int(minutes):
        words.append(("o " if int(minutes) < 10 else "") + cardinal(str(int(minutes))))
    elif not half and not seconds:
        words.append("o'clock")
    if seconds:
        words.append(f"and {cardinal(str(int(seconds)))} second{'' if int(seconds) == 1 else 's'}")
    return " ".join([*words, *_letters(half), *_letters(zone)])


def _hour(match: Match) -> str:
    return " ".join([cardinal(str(int(match[1]))), *_letters(match[2]), *_letters(match[3])])


def _letters(written: str | None) -> list[str]:
    return re.findall("[a-z]", (written or "").lower())


def _unit(unit: str, *, one: bool) -> str:
    name = forms.UNITS[unit]
    if one or name in forms.ALIKE:
        return name
    first, per, rest = name.partition(" per ")
    if first.startswith("degree"):
        return first.replace("degree", "degrees")
    return f"{'feet' if first == 'foot' else f'{first}s'}{per}{rest}"


def _measure(match: Match) -> str:
    sign, number, scale, unit, per = match.groups()
    words = [
        "minus" if sign else "",
        decimal(number),
        scale or "",
        _unit(unit, one=number == "1" and not scale) if unit else "",
    ]
    return " ".join(filter(None, [*words, f"per {_unit(per, one=True)}" if per else ""]))


_GLYPHS = {
    sign: (unicodedata.normalize("NFKC", sign).split("⁄")[0], unicodedata.normalize("NFKC", sign).split("⁄")[1])
    for sign in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
}


def _fraction(match: Match) -> str:
    whole, top, bottom = match.groups()
    if int(top) >= int(bottom) or int(bottom) > 100:
        return f"{cardinal(whole) + ' ' if whole else ''}{cardinal(top)} {cardinal(bottom)}"
    return _part_of(whole, top, bottom)


def _glyph(match: Match) -> str:
    return _part_of(match[1], *_GLYPHS[match[2]])


def _part_of(whole: str | None, top: str, bottom: str) -> str:
    name = {"2": "half", "4": "quarter"}.get(bottom, ordinal(bottom))
    if int(top) != 1:
        name = "halves" if name == "half" else f"{name}s"
    return f"{cardinal(whole) + ' and ' if whole else ''}{cardinal(top)} {name}"


def _range(match: Match) -> str:
    first, second, unit, per = match.groups()
    rising = len(first) == len(second) == 4 or int(first) < int(second)
    words = [_plain_number(first), "to" if rising else "dash", _plain_number(second)]
    words += [_unit(unit, one=False)] if unit else []
    return " ".join([*words, "per", _unit(per, one=True)] if per else words)


def _plain_number(digits: str) -> str:
    return year(digits) if re.fullmatch(r"1[1-9]\d\d|20\d\d", digits) else cardinal(digits)


def _number(match: Match) -> str:
    sign, number, scale = match[1], match[2], match[3]
    words = _plain_number(number) if number.isdigit() and not scale else decimal(number)
    return " ".join(filter(None, ("minus" if sign else "", words, scale)))


def _mixed(match: Match) -> str:
    """Letters and digits in one word: ``MP3``, ``es3``, ``covid19``."""
    return " ".join(
        _plain_number(part) if part.isdigit() else " ".join(part.lower()) if _is_spelt(part) else part
        for part in re.findall(r"\d+|[^\W\d_]+", match[0])
    )


def _is_spelt(letters: str) -> bool:
    return len(letters) < 3 or letters.isupper()


def _roman(match: Match) -> str:
    name, numeral = match[1], match[2]
    number = str(_roman_value(numeral))
    return f"{name} the {ordinal(number)}" if name in forms.REGNAL else f"{name} {cardinal(number)}"


def _roman_value(numeral: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[letter] for letter in numeral]
    return sum(-now if now < after else now for now, after in zip(values, [*values[1:], 0], strict=True))


def _abbreviation(match: Match) -> str:
    written = match[1]
    return forms.ABBREVIATIONS.get(written) or forms.ABBREVIATIONS.get(written.capitalize()) or written.lower()


_ABBREVIATIONS = "|".join(
    f"[{word[0].upper()}{word[0].lower()}]{word[1:]}" for word in sorted(forms.ABBREVIATIONS, key=len, reverse=True)
)


def _acronym(match: Match) -> str:
    word = match[1]
    spoken = word if word not in forms.SPELT and word.lower() in cmudict() else " ".join(word.lower())
    return f"{spoken}{match[2] or ''}"


Rule = tuple[str, Callable[[Match], str]]
_LETTER = r"[^\W\d_]"
_REGNAL_OR_NUMBERED = "|".join(sorted(forms.REGNAL | forms.NUMBERED))

RULES: dict[str, tuple[str, str, str, Callable[[Match], str]]] = {
    # name: what must not stand before, the pattern, what must not stand after, how it is said
    "url": ("", r"(?:https?://|www\.)[^\s<>\"]*[\w/]", "", _electronic),
    "email": (r"(?<![\w+&-])", r"[\w+&-](?:[\w.+&-]{0,62}[\w+&-])?@[\w-]{1,63}(?:\.[\w-]{1,63}){1,6}", "", _electronic),
    "site": (
        r"(?<![\w@-])",
        r"(?:[A-Za-z0-9-]{1,63}\.){1,4}(?:com|org|net|edu|gov|io|ai|dev|co\.uk)(?:/[^\s<>\"]*[\w/])?",
        r"(?![\w-])",
        _electronic,
    ),
    "telephone": (
        r"(?<![\w.,-])",
        r"(?:\+?\d{1,3}[\s-]?)?(?:\(\d{3}\)[\s-]?|\d{3}[\s.-])\d{3}[\s.-]\d{4}(?:-\d{1,4})?|\d{3}-\d{4}",
        r"(?![\w-])",
        _telephone,
    ),
    "money": (
        r"(?<![\w])",
        rf"({_SIGNS})\s?({_NUMBER})(?:([kKmMbB]|mn|bn|tn)\b|\s?({_SCALE})\b)?",
        "",
        _money,
    ),
    "iso_date": (r"(?<![\w/.-])", r"([12]\d{3})[-/](\d{1,2})[-/](\d{1,2})", r"(?![\w/-])", _iso_date),
    "us_date": (r"(?<![\w/.-])", r"(\d{1,2})[./-](\d{1,2})[./-]([12]\d{3})", r"(?![\w/-])", _us_date),
    "day_first": (
        r"(?<![\w.,-])",
        rf"({_DAY})(?:st|nd|rd|th)?\s(?!may\s(?!{_YEAR}))({_MONTH})\b\.?(?:,?\s({_YEAR})(?!\d))?",
        "",
        _day_first,
    ),
    "month_first": (
        r"(?<!\w)",
        rf"(?!may\s)({_MONTH})\.?\s({_DAY})(?:st|nd|rd|th)?(?![\w:/%])(?:(,)?\s({_YEAR})(?![\d-]))?",
        r"(?![.,]\d)",
        _month_first,
    ),
    "month_year": (r"(?<!\w)", rf"(?!may\s)({_MONTH})\.?\s({_YEAR})", r"(?![\w-])", _month_year),
    "decade": (r"(?<![\w.,])", r"'?((?:1\d|20)\d0|\d0)'?s", r"(?!\w)", _decade),
    "clock": (
        r"(?<![\w:.,])",
        rf"([01]?\d|2[0-4])(?::|\.(?=\d\d\s?[AaPp]\.?[Mm]))([0-5]\d)(?::([0-5]\d))?"
        rf"(?:\s?({_HALF_DAY}))?(?:\s?({_ZONE}))?",
        r"(?![\d:])",
        _clock,
    ),
    "hour": (r"(?<![\w:.,])", rf"(1[0-2]|0?[1-9])\s?({_HALF_DAY})(?:\s?({_ZONE}))?", "", _hour),
    "ratio": (
        r"(?<![\w:])",
        r"(\d+):(\d+)",
        r"(?![\d:])",
        lambda match: f"{cardinal(match[1])} to {cardinal(match[2])}",
    ),
    "percent": (
        r"(?<![\w.,])",
        rf"(-)?({_NUMBER})\s?%",
        "",
        lambda match: f"{'minus ' if match[1] else ''}{decimal(match[2])} percent",
    ),
    "measure": (
        r"(?<![\w.,])",
        rf"([-−])?({_NUMBER})\s?({_SCALE})?\s?({_UNIT})(?:/({_UNIT}))?",
        r"(?![\w/°²³-])",
        _measure,
    ),
    "per": (r"(?<![\w.,])", rf"()({_NUMBER})()()/({_UNIT})", r"(?![\w/])", _measure),
    "glyph": ("", rf"(?:(\d+)\s?)?([{''.join(_GLYPHS)}])", "", _glyph),
    "fraction": (r"(?<![\w./,])", r"(?:(\d+)\s)?(\d{1,3})/(\d{1,3})", r"(?![\w/])", _fraction),
    "ordinal": (
        r"(?<![\w.,])",
        rf"({_INTEGER})(?:st|nd|rd|th)",
        r"(?!\w)",
        lambda match: ordinal(match[1].replace(",", "")),
    ),
    "hash": (r"(?<!\w)", rf"(?:#|[Nn]os?\.\s?)({_INTEGER})", "", lambda match: f"number {decimal(match[1])}"),
    "range": (
        r"(?<![\w.,–-])",
        rf"(\d{{1,9}})\s?[–-]\s?(\d{{1,9}})(?:\s?({_UNIT})(?:/({_UNIT}))?(?![\w/]))?",
        r"(?![\w–-]|[.,]\d)",
        _range,
    ),
    "mixed": (r"(?<![\w.,])", r"(?=[^\W_]*\d)(?=[^\W_]*[^\W\d_])[^\W_²³]{1,60}", r"(?![^\W_²³])", _mixed),
    "number": ("", rf"((?<![\w)])[-−](?=[\d.]))?((?<!\d){_NUMBER})(?:\s({_SCALE})s?\b)?", "", _number),
    "digit": ("", r"\d", "", lambda match: cardinal(match[0])),
    "power": ("", "[²³]", "", lambda match: "squared" if match[0] == "²" else "cubed"),
    "roman": (
        r"(?<!\w)",
        rf"({_REGNAL_OR_NUMBERED})\s(?!C\b|L\b|D\b)((?:XC|XL|L?X{{0,3}})(?:IX|IV|V?I{{0,3}})(?<=[IVXLC]))",
        r"(?![\w'’])",
        _roman,
    ),
    "latin": (
        r"(?<![\w.])",
        "|".join(map(re.escape, forms.LATIN_ABBREVIATIONS)),
        "",
        lambda match: forms.LATIN_ABBREVIATIONS[match[0]],
    ),
    "street": (
        r"(?<=[a-z]\s)",
        r"(St|Dr)\.",
        r"(?:(?!\s[A-Z])|(?=\s(?:He|She|It|They|We|You|The|This|That|In|On|At|But|And|There)\b))",
        lambda match: {"St": "street", "Dr": "drive"}[match[1]],
    ),
    "title": (
        r"(?<![\w.])",
        r"([Ss]t|[Dd]r|[Dd]rs)\.(?=\s\S)",
        "",
        lambda match: {"st": "saint", "dr": "doctor", "drs": "doctors"}[match[1].lower()],
    ),
    "abbreviation": (r"(?<![\w.])", rf"({_ABBREVIATIONS})\.", r"(?!\w)", _abbreviation),
    "dotted": (r"(?<![\w.])", r"(?:[A-Za-z]\.){2,}", r"(?!\w)", lambda match: " ".join(_letters(match[0]))),
    "acronym": (r"(?<![\w'-])", r"([A-Z]{2,5})('s|s)?", r"(?![\w'-])", _acronym),
    "symbol": (
        "",
        f"[{re.escape(''.join(forms.SYMBOLS))}]",
        "",
        lambda match: f" {forms.SYMBOLS[match[0]]} ",
    ),
    "line": ("", r"[_*^~|\\\\]+", "", lambda match: " "),
}
