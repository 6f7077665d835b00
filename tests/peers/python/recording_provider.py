"""Plays four providers' APIs on a free loopback port, writes down what it is sent and judges it.

    python recording_provider.py --log FILE [--key KEY] [--hold N] [--until-stdin-closes]

The first line on stdout is `{"port": N}`, once it answers; see loopback.py.

    POST /v1/messages                            Anthropic: `x-api-key: KEY`, `anthropic-version`
    POST /v1/chat/completions                    OpenAI: `authorization: Bearer KEY`
    POST /v1beta/models/MODEL:generateContent    Gemini: `x-goog-api-key: KEY`
    POST …/MODEL:streamGenerateContent?alt=sse   the same, streamed
    POST /api/chat                               Ollama: `authorization: Bearer KEY`, or none

A good request is answered 200 with `recorded: <the last user text>`, in a message made by the provider's own Python
package; if that text is `call TOOL {…}` and names a tool of the request, with a call of that tool. One that asks for a stream,
by `stream` in the body or, with Gemini, by the path, gets the same answer in pieces: events of that package's types, as
streamed.py makes them. A bad credential is answered 401; a body that the package's own request types refuse, 422 with what is
wrong; both in the provider's format. played_providers.py has what is each provider's own.

Every request is one JSON line in FILE, written before it is answered: `provider`, `path`, `query`, `headers` (a list
of pairs, in order), `body` (JSON, or a string if it isn't), `status` and, if that isn't 200, `error`.

With `--hold N` no answer leaves before N requests are open at once: a client that sends fewer waits for ever.
"""

import argparse
import asyncio
import json
from pathlib import Path

import loopback
from played_providers import Anthropic, Gemini, Ollama, OpenAI, Refused
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


def application(log: Path, key: str, hold: int) -> Starlette:
    count = 0
    all_here = asyncio.Event()
    log.touch()

    def judged(provider, headers, raw: bytes):
        """The body as JSON, having met everything that the provider asks."""
        provider.check_headers(headers, key)
        try:
            body = json.loads(raw)
        except ValueError as error:
            raise Refused(400, "invalid_request_error", f"the body is not JSON: {error}") from None
        try:
            provider.validate(body)
        except Exception as error:  # whatever a validator raises, it is about this body
            raise Refused(422, "invalid_request_error", str(error)) from error
        return body

    def endpoint(provider):
        async def record(request: Request) -> Response:
            nonlocal count
            count += 1
            number = count
            raw = await request.body()
            error, status, media_type = None, 200, "application/json"
            try:
                body = judged(provider, request.headers, raw)
                answer = provider.answer(body, request.path_params.get("model") or body["model"], number)
                if provider.wants_stream(body, request):
                    reply = [piece(provider, name, data) for name, data in provider.stream(answer, body)]
                    media_type = provider.media_type
                else:
                    reply = written(provider, answer)
            except Exception as problem:
                refused = problem if isinstance(problem, Refused) else Refused(500, "api_error", repr(problem))
                error, status, reply = str(refused), refused.status, json.dumps(provider.error(refused))
            entry = {
                "provider": provider.name,
                "path": request.url.path,
                "query": request.url.query,
                "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw],
                "body": as_json(raw),
                "status": status,
            }
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry | ({"error": error} if error else {})) + "\n")
            if number >= hold:
                all_here.set()
            await all_here.wait()
            kind = StreamingResponse if isinstance(reply, list) else Response
            return kind(reply, status, media_type=media_type)

        return record

    return Starlette(
        routes=[
            Route("/v1/messages", endpoint(Anthropic), methods=["POST"]),
            Route("/v1/chat/completions", endpoint(OpenAI), methods=["POST"]),
            Route("/v1beta/models/{model}:generateContent", endpoint(Gemini), methods=["POST"]),
            Route("/v1beta/models/{model}:streamGenerateContent", endpoint(Gemini), methods=["POST"]),
            Route("/api/chat", endpoint(Ollama), methods=["POST"]),
        ]
    )


def written(provider, data) -> str:
    return data if isinstance(data, str) else data.model_dump_json(**provider.dump)


def piece(provider, name: str | None, data) -> str:
    """A server-sent event, or a line."""
    if provider.media_type == "application/x-ndjson":
        return f"{written(provider, data)}\n"
    return (f"event: {name}\n" if name else "") + f"data: {written(provider, data)}\n\n"


def as_json(raw: bytes):
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, required=True, help="the file that gets a JSON line for each request")
    parser.add_argument("--key", default="sk-understudy-test-0123456789", help="the credential it accepts")
    parser.add_argument("--hold", type=int, default=0, metavar="N", help="answer nobody before N have asked")
    loopback.add_arguments(parser)
    options = parser.parse_args()
    stdout = loopback.claim_stdout()
    loopback.serve(application(options.log, options.key, options.hold), stdout, options.until_stdin_closes)


if __name__ == "__main__":
    main()
