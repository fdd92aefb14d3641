# SPDX-License-Identifier: GPL-2.0-or-later
"""Random chains of the kinds on the URL, as sites have them, and URLs near and far from them."""

import random

WORDS = "admin cart login img static api search user media shop news feed item tag video".split()
TYPES = "png jpg gif css js html php cgi".split()
VERDICTS = "hit miss miss_nofetch denied".split()
POLICIES = 10
ENTRIES = 20


class RandomChain:
    """Deterministic for a seed. `policies` is a configuration; no URL is in `urls` twice."""

    def __init__(self, seed, urls):
        self.random = random.Random(f"chain {seed}")
        made = [self.policy(number) for number in range(POLICIES)]
        self.texts = [text for text, _ in made for text in text]
        self.policies = "\n".join(policy for _, policy in made)
        found = set()
        while len(found) < urls:
            found.add(self.url()[:255])
        self.urls = sorted(found)
        self.random.shuffle(self.urls)

    def word(self):
        word = self.random.choice(WORDS)
        return word + str(self.random.randrange(100)) if self.random.random() < 0.5 else word

    def host(self):
        return f"www{self.random.randrange(50)}.{self.word()}.example.org"

    def path(self):
        return "/".join(self.word() for _ in range(self.random.randrange(1, 6)))

    def url(self):
        """Half of all are made of the policies' texts."""
        end = self.random.choice(["/", "", f".{self.random.choice(TYPES)}", f"?{self.word()}=1f"])
        url = f"http://{self.host()}/{self.path()}{end}"
        text = self.random.choice(self.texts)
        if self.random.random() < 0.5 and not any(byte in text for byte in "*[\\"):
            return text + end if text.startswith("http") else f"{url}/{text}{end}"
        return url

    def entry(self, kind):
        word, other, type_ = self.word(), self.word(), self.random.choice(TYPES)
        return self.random.choice(
            {
                "prefix": [f"http://{self.host()}/{word}", f"http://{self.host()}/"],
                "exact": [f"http://{self.host()}/{self.path()}"],
                "substring": [f"/{word}/", f"{word}/{other}", f"?{word}=", f"-{word}."],
                "suffix": [f".{type_}", f"/{word}.{type_}", f"/{word}"],
                "host": [self.host(), f".{word}.example.org"],
                "glob": [f"http://*/{word}/*", f"*.{type_}", f"*/{word}?[0-9]*", f"*{word}*{other}*"],
                "regex": [
                    rf"/{word}(/|$)",
                    rf"[?&]{word}=[0-9a-f]+",
                    rf"\.({type_}|cgi)($|\?)",
                    rf"^http://[^/]*{word}",
                    rf"/{word}[0-9]+/",
                    rf"(?i){word}.*{other}",
                ],
            }[kind]
        )

    def policy(self, number):
        kind = self.random.choice("prefix exact substring suffix glob regex host".split())
        most = 3 if kind in ("glob", "regex") else ENTRIES
        texts = sorted({self.entry(kind) for _ in range(self.random.randrange(1, most + 1))})
        keys = {"host": "hosts", "prefix": "urls", "exact": "urls"}
        key = keys.get(kind, "patterns" if kind in ("glob", "regex") else "texts")
        listed = ", ".join(f"'{text}'" for text in texts)
        negate = " not = true" if self.random.random() < 0.1 else ""
        verdict = self.random.choice(VERDICTS)
        return texts, (
            f'policy "{number:02}-{kind}" {{ kind = "{kind}" verdict = "{verdict}"{negate} '
            f"{key} = {{ {listed} }} }}"
        )
