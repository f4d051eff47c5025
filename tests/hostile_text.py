"""Texts that break programs: markup, quotes, terminal escapes, controls, many scripts, emoji, and very long words.

All of them are valid Unicode. Every view of a text shows them as data: nothing is run, obeyed, or lost.
"""

import unicodedata

MARKUP = [
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>", "<!--", "-->", "<![CDATA[", "]]>", "</table>", "</td></tr>", "</style>", "</textarea>",
    "</title>", "<b>bold</b>", "<", ">", "&", "&amp;", "&lt;script&gt;", "&#60;", "&#x3c;script>", "&nbsp;",
    "&notanentity;", "<a href='javascript:alert(1)'>a</a>", "<iframe srcdoc='<script>alert(1)</script>'>",
    "<base href=//evil.example>", "<meta http-equiv=refresh content=0>", "<link rel=stylesheet href=//evil.example>",
    "<math><mtext></mtext></math>", "<style>*{display:none}</style>", "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>", "{{constructor.constructor('alert(1)')()}}", "${alert(1)}",
    "javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "<scr<script>ipt>",
    "<SCRIPT SRC=//evil.example>",
]  # fmt: skip
QUOTES = [
    "'", '"', "`", "''", '""', "\\", "\\\\", "\\n", "\\u003c", "\\x3cscript>", "'+alert(1)+'", '";alert(1);//',
    "*/alert(1)/*", "//", "a'b\"c`d", "“curly”", "‘single’", "«guillemets»", "„low”", "$(id)", "`id`", "%s %d %n",
    "{0} {name}", "%3Cscript%3E", "a\\", "__proto__", "constructor", "toString", "hasOwnProperty", "null", "undefined",
    "NaN", "Infinity", "-inf", "true", "0", "-1", "1e999", "../../etc/passwd", "file:///etc/passwd", "#step=1&cell=2",
    "?a=b", "a,b;c\td",
]  # fmt: skip
RICH = [
    "[red]text[/red]", "[/]", "[b]", "[link=file:///etc/passwd]a[/link]", ":dog:", ":warning:", "[[", "]]",
    "[@click=app.quit]a[/]", "$x^2$", "$$\\frac{1}{0}$$", "\\(x\\)", "\\input{/etc/passwd}", "**bold**", "| a | b |",
    "~~~", "```", "# heading", "---", "[MASK]", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[mask]", "##ing", "## ing",
    "[CLS] [SEP] [MASK]", "<mask>", "<s>", "</s>", "<|endoftext|>",
]  # fmt: skip
ESCAPES = [
    "\x1b[2J", "\x1b[31mred\x1b[0m", "\x1b]0;owned\x07", "\x1b]52;c;b3duZWQ=\x07",
    "\x1b]8;;http://evil.example\x1b\\a\x1b]8;;\x1b\\", "\x1b[?1049h", "\x1b[6n", "\x1b[c", "\x1bP+q544e\x1b\\",
    "\x1b_a\x1b\\", "\x9b31m", "\x9d0;owned\x9c", "\x90a\x9c", "\x1b", "\x1bc", "a\rb", "a\bb", "a\x08\x08b", "a\x7fb",
    "\x07", "\x0e", "\x0f", "\x0c", "\x0b", "\x00", "a\x00b", "\x00\x00", "\x01", "\x04", "\x1a", "\x85", "\x80", "\n",
    "\r\n", "a\nb", "\t", "a\n\n\nb", "\nminibert: done", "\u2028", "\u2029", "a\u2028b",
]  # fmt: skip
DIRECTIONS = [
    "שלום עולם", "مرحبا بالعالم", "שלום [MASK] hello", "العربية 123 abc", "\u202eevil", "\u202dabc\u202c",
    "\u2066a\u2069", "\u2067a\u2069", "\u200fa", "\u200ea", "\u061ca", "\u202aabc", "a\u202e[31m", "ʇxǝʇ uʍop", "فارسی",
    "اردو",
]  # fmt: skip
SCRIPTS = [
    "猫坐在垫子上。", "今天天气很好 [MASK]", "日本語のテキスト", "한국어 텍스트", "繁體中文", "𠀀𠀁𠀂",
    "ไทยไม่มีช่องว่าง", "हिन्दी पाठ", "தமிழ்", "Ελληνικά", "Русский текст", "ქართული", "Հայերեն", "አማርኛ", "ᚠᚢᚦ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "ｆｕｌｌｗｉｄｔｈ", "ﬁne ﬂow", "café", "cafe\u0301", "naïve Äpfel ß", "İstanbul ı", "Å Å Å",
    "x\u0301\u0302\u0303\u0304\u0305", "z̷̢̛a̴̧l̸g̵o̶", "ẛ̣", "①②③", "½ ⅓ ²", "∑∫√∞≠", "−1 – — ‐", "a\u00a0b", "a\u2003b",
    "a\u3000b", "a\u200bb", "\ufeffa", "a\u00adb", "\u2060", "\u200d", "\ufffd", "\ufffe", "\U0010ffff", "\ue000",
    "\U000e0041",
]  # fmt: skip
EMOJI = [
    "😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪", "❤️", "❤", "1️⃣", "🤷🏿‍♀️", "a😀b", "😀" * 20, "🫠🫡", "☃", "©®™", "🀄",
]  # fmt: skip
SIZES = [
    "", " ", "   ", "a", ".", "a" * 200, "中" * 60, "a" * 5000, "a " * 25, "\u0301" * 40, "!" * 25,
    "antidisestablishmentarianism" * 4,
]  # fmt: skip

HOSTILE_TEXTS: tuple[str, ...] = (*MARKUP, *QUOTES, *RICH, *ESCAPES, *DIRECTIONS, *SCRIPTS, *EMOJI, *SIZES)
"""About 250 texts."""


def name(text: str) -> str:
    """Return a name for a test: the first characters, as printable ASCII."""
    first = text[:12].encode("ascii", "backslashreplace").decode() or "empty"
    return "".join(char if unicodedata.category(char)[0] != "C" else f"\\x{ord(char):02x}" for char in first)
