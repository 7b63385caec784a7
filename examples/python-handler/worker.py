"""The handler `text-stats`: run `python worker.py`, beside a Millrace that has text-stats.handler.json."""

import re
from collections import Counter
from typing import Any

from millrace_handler import Item, ItemError, serve

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
SENTENCE = re.compile(r"[^.!?…]*\w[^.!?…]*")

# Words that a language can hardly do without: enough to tell a paragraph's, too little for a name.
FREQUENT = {
    "de": "der die und das ist nicht ein eine mit den von zu auf für sich auch wird",
    "en": "the of and to in is that it was for on are with as his they at be this",
    "es": "el la de que y en los se del las un por con una su para es al lo como",
    "fr": "le la les de et des est en que une du dans qui pas pour sur au avec ne",
    "it": "il di che e la per un è in non sono una con del si da come le gli",
    "nl": "de het een van en in is dat op te zijn met voor niet aan er om ook",
    "pt": "o a de que e do da em um para com não uma os no se na por mais as",
}
FREQUENT_WORDS = {language: frozenset(words.split()) for language, words in FREQUENT.items()}


def text_stats(item: Item, params: dict[str, Any]) -> dict[str, Any]:
    text = item.input["text"]
    words = [word.lower() for word in WORD.findall(text)]
    if not words:
        raise ItemError("no_words", "There is not a word in this text.", retryable=False)
    counts = Counter(words)
    return {
        "characters": len(text),
        "words": len(words),
        "sentences": len(SENTENCE.findall(text)),
        "mean_word_length": round(sum(map(len, words)) / len(words), 2),
        "reading_seconds": round(60 * len(words) / params.get("words_per_minute", 230), 1),
        "language": language_of(counts),
        # By frequency, then by the alphabet, so that the same text always gives the same answer.
        "top_words": [
            {"word": word, "count": count}
            for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[: params.get("top", 5)]
        ],
    }


def language_of(counts: Counter[str]) -> str | None:
    hits = {language: sum(counts[word] for word in words) for language, words in FREQUENT_WORDS.items()}
    (first, most), (_, second) = Counter(hits).most_common(2)
    return first if most > second else None


if __name__ == "__main__":
    serve("text-stats", text_stats)
