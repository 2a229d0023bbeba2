"""The WSGI application that serves the error to every request while the code is broken (--reload).

In a browser, the page polls whether this error is still served, and reloads itself when it is not.
The text contains source lines of the application: only --reload may serve it.
"""

import hashlib
import html
from collections.abc import Callable, Iterable
from typing import Any, Final

# The page's own requests have this header; every response of ErrorPage has it, with the error's id.
ERROR_FIELD: Final = "X-Iotax-Error"
_ASKED_BY_PAGE: Final = "HTTP_" + ERROR_FIELD.upper().replace("-", "_")

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem;
  margin: 3rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; border-left: .4rem solid #c0392b; padding-left: .8rem; }}
pre {{ font: 14px/1.5 ui-monospace, monospace; overflow-x: auto; padding: 1rem;
  border: 1px solid #8886; border-radius: .4rem; background: #8881; }}
p {{ color: #888; }}
</style>
<h1>{title}</h1>
<pre>{text}</pre>
<p>This page reloads itself when a saved change loads.</p>
<script>
const field = "{field}", error = "{error}";
async function look() {{
  try {{
    const response = await fetch(location.href,
      {{method: "HEAD", cache: "no-store", headers: {{[field]: error}}}});
    if (response.headers.get(field) !== error) return location.reload();
  }} catch {{}}
  setTimeout(look, 300);
}}
setTimeout(look, 300);
</script>
</html>
"""


class ErrorPage:
    """Responds 503 with `text`, whose first line is the title. `tell` is called with each request
    line, except for the requests of the page itself."""

    def __init__(self, text: str, tell: Callable[[str], None] = lambda _: None) -> None:
        title, _, rest = text.strip("\n").partition("\n")
        self._tell = tell
        self.error = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]
        page = _PAGE.format(
            title=html.escape(title),
            text=html.escape(rest.strip("\n") or title),
            field=ERROR_FIELD,
            error=self.error,
        )
        self._html = page.encode(errors="backslashreplace")
        self._plain = f"{text.strip()}\n".encode(errors="backslashreplace")

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if _ASKED_BY_PAGE not in environ:
            self._tell(f"{environ['REQUEST_METHOD']} {environ.get('REQUEST_URI', '')}")
        browser = "text/html" in environ.get("HTTP_ACCEPT", "")
        body = self._html if browser else self._plain
        fields = [
            ("Content-Type", f"text/{'html' if browser else 'plain'}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Vary", "Accept"),
            ("X-Content-Type-Options", "nosniff"),
            (ERROR_FIELD, self.error),
        ]
        start_response("503 Service Unavailable", fields)
        return [body]
