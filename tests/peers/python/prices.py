"""Compares the prices of the built-in plugins' models with those of genai-prices.

Prints each difference, and how many models were compared. A model that genai-prices doesn't know is printed too.
"""

import json
import sys
from datetime import datetime, timezone
from decimal import Decimal

from genai_prices import Usage, calc_price

PROVIDERS = {"anthropic": "anthropic", "openai": "openai", "gemini": "google"}
MILLION = Decimal(1_000_000)


def dollars(text):
    return Decimal(text.removeprefix("$"))


def ours(price, usage):
    above = price.get("above")
    rates = above if above and usage["input_tokens"] > above["tokens"] else price
    read, write = usage.get("cache_read_tokens", 0), usage.get("cache_write_tokens", 0)
    plain = usage["input_tokens"] - read - write
    parts = [
        (plain, rates["input"]),
        (read, rates.get("cacheRead", rates["input"])),
        (write, rates.get("cacheWrite", rates["input"])),
        (usage.get("output_tokens", 0), rates["output"]),
    ]
    return sum(tokens * dollars(rate) for tokens, rate in parts) / MILLION


USAGES = [
    {"input_tokens": 1000},
    {"input_tokens": 1000, "output_tokens": 500},
    {"input_tokens": 1000, "cache_read_tokens": 800},
    {"input_tokens": 1000, "cache_write_tokens": 800},
    {"input_tokens": 90_000, "output_tokens": 10},
    {"input_tokens": 150_000, "output_tokens": 10},
    {"input_tokens": 300_000, "output_tokens": 10, "cache_read_tokens": 200_000},
]

with open(sys.argv[1]) as file:
    table = json.load(file)
at = datetime.fromisoformat(sys.argv[2]).replace(tzinfo=timezone.utc)
compared = 0
for plugin, provider in PROVIDERS.items():
    for model, price in table["models"][plugin].items():
        try:
            known = [
                calc_price(Usage(**usage), model, provider_id=provider, genai_request_timestamp=at).total_price
                for usage in USAGES
            ]
        except LookupError:
            print(f"unknown: {model}")
            continue
        compared += 1
        for usage, theirs in zip(USAGES, known):
            if ours(price, usage) != theirs:
                print(f"differs: {model} {usage}: {ours(price, usage)} here, {theirs} there")
print(f"compared: {compared}")
