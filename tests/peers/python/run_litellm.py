"""LiteLLM's proxy on a free loopback port, with the mock models of ../litellm.yaml.

    python run_litellm.py [--upstream URL] [--config FILE] [--until-stdin-closes]

With `--upstream` its models are those of ../litellm_upstream.yaml, and what it is sent goes on to that address: to
recording_provider.py, in Anthropic's format for the model `by-anthropic` and in OpenAI's for `by-openai`.

The first line on stdout is `{"port": N}`, once it answers; see loopback.py. `POST /v1/messages` takes Anthropic's
format and `POST /v1/chat/completions` OpenAI's; the key is the `master_key` of the config, as `x-api-key` or as
`authorization: Bearer`. Runs with an environment of its own, and any connection beyond loopback is an error.
"""

import argparse
import os
import sys
from pathlib import Path

KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
OFFLINE = {
    "LITELLM_MODE": "PRODUCTION",  # or it reads any .env above its own folder
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOG": "ERROR",
}


def refuse_the_outside(event: str, args: tuple) -> None:
    """An audit hook: the settings above are LiteLLM's word for it, this makes it so."""
    if event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    if host not in (None, "", "localhost", "::1", b"localhost", b"127.0.0.1") and not str(host).startswith("127."):
        raise PermissionError(f"LiteLLM tried to reach `{host}`: a test stays on loopback")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", metavar="URL", help="where the provider is: `http://127.0.0.1:PORT`")
    parser.add_argument("--config", type=Path, help="by default one of the two above")
    import loopback

    loopback.add_arguments(parser)
    options = parser.parse_args()
    by_default = "litellm_upstream.yaml" if options.upstream else "litellm.yaml"
    config = options.config or Path(__file__).parent.parent / by_default
    if not config.is_file():
        sys.exit(f"no config at `{config}`")

    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept | OFFLINE | {"CONFIG_FILE_PATH": str(config.resolve())})
    if options.upstream:
        os.environ.update(UPSTREAM=options.upstream, UPSTREAM_V1=f"{options.upstream}/v1")
    sys.addaudithook(refuse_the_outside)

    stdout = loopback.claim_stdout()
    from litellm.proxy.proxy_server import app

    loopback.serve(app, stdout, options.until_stdin_closes)


if __name__ == "__main__":
    main()
