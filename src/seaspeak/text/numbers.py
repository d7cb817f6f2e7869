"""Numbers in English words, American style: no hyphens, no "and"."""

from __future__ import annotations

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = [
    "_",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
]
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(digits: str) -> str:
    """Return a whole number in words; one with a leading zero, or too long for a name, digit by digit.

    >>> cardinal("1234"), cardinal("-7"), cardinal("007")
    ('one thousand two hundred thirty four', 'minus seven', 'zero zero seven')
    """
    if digits.startswith("-"):
        return f"minus {cardinal(digits[1:])}"
    if (len(digits) > 1 and digits.startswith("0")) or len(digits) > 3 * len(_SCALES):
        return spelt(digits)
    groups = [digits[max(end - 3, 0) : end] for end in range(len(digits), 0, -3)]
    words: list[str] = []
    for scale, group in reversed(list(enumerate(groups))):
        if int(group):
            words += [*_below_thousand(int(group)), *([_SCALES[scale]] if scale else [])]
    return " ".join(words) or "zero"


def _below_thousand(number: int) -> list[str]:
    hundreds, rest = divmod(number, 100)
    words = [_ONES[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        words.append(_TENS[rest // 10])
        rest %= 10
    return [*words, _ONES[rest]] if rest else words


def ordinal(digits: str) -> str:
    """Return the place that a whole number names.

    >>> ordinal("21"), ordinal("1000"), ordinal("0")
    ('twenty first', 'one thousandth', 'zeroth')
    """
    *before, last = cardinal(digits).split()
    if last.endswith("y"):
        last = f"{last[:-1]}ieth"
    else:
        last = _ORDINALS.get(last, f"{last}th")
    return " ".join([*before, last])


def spelt(digits: str, zero: str = "zero") -> str:
    """Return digits one by one.

    >>> spelt("105", zero="o")
    'one o five'
    """
    return " ".join(zero if digit == "0" else _ONES[int(digit)] for digit in digits)


def decimal(number: str) -> str:
    """Return a number that may have a sign, commas between thousands, and decimals.

    >>> decimal("-1,234.05"), decimal(".5"), decimal("2.0")
    ('minus one thousand two hundred thirty four point o five', 'point five', 'two point zero')
    """
    whole, _, fraction = number.replace(",", "").partition(".")
    words = cardinal(whole) if whole.strip("-") else whole.replace("-", "minus")
    if not fraction:
        return words
    return f"{words} point {spelt(fraction, zero='o' if len(fraction) > 1 else 'zero')}".strip()


def year(digits: str) -> str:
    """Return a year of four digits as it is said.

    >>> year("1984"), year("1906"), year("1900"), year("2005"), year("2012")
    ('nineteen eighty four', 'nineteen o six', 'nineteen hundred', 'two thousand five', 'twenty twelve')
    """
    century, rest = int(digits[:2]), int(digits[2:])
    if len(digits) != 4 or digits[0] == "0" or digits[1:3] == "00":
        return cardinal(digits)
    if not rest:
        return f"{cardinal(str(century))} hundred"
    return f"{cardinal(str(century))} {'o ' if rest < 10 else ''}{cardinal(str(rest))}"


def plural(words: str) -> str:
    """Return the plural of a number in words.

    >>> plural("nineteen eighty"), plural("six")
    ('nineteen eighties', 'sixes')
    """
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}es" if words.endswith("x") else f"{words}s"
