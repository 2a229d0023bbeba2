"""A Flask application: `iotax flask_app --threads 4`.

A page, JSON, a form, an upload, redirects, an asynchronous view, and a feed that is followed live
(as plain text or as server-sent events) while other requests add to it.
"""

import asyncio
import hashlib
import threading

from flask import Flask, Response, jsonify, redirect, request, url_for

app = Flask(__name__)
app.json.ensure_ascii = False

FORM = """<!doctype html>
<title>Sign</title>
<form action="/form" method="post">
  <input name="name"> <button>Sign</button>
</form>
<form action="/upload" method="post" enctype="multipart/form-data">
  <input name="file" type="file"> <button>Upload</button>
</form>
"""


class Feed:
    """Lines that any number of readers follow from the first one on, until the feed is closed."""

    def __init__(self):
        self.lines = []
        self.closed = False
        self.changed = threading.Condition()

    def append(self, line):
        with self.changed:
            self.lines.append(line)
            self.changed.notify_all()

    def close(self):
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def follow(self):
        index = 0
        while True:
            with self.changed:
                while not self.closed and index == len(self.lines):
                    self.changed.wait()
                if index == len(self.lines):
                    return
                line = self.lines[index]
            index += 1
            yield line


feeds = {}
feeds_lock = threading.Lock()


def feed_named(name):
    with feeds_lock:
        return feeds.setdefault(name, Feed())


@app.get("/")
def index():
    return "Hello from iotaX! 🔥"


@app.get("/api/data")
def data():
    return jsonify(message="Hello", server="iotaX")


@app.get("/form")
def form():
    return FORM


@app.post("/form")
def submit():
    return jsonify(name=request.form["name"], fields=sorted(request.form))


@app.post("/upload")
def upload():
    digest = hashlib.sha256()
    length = 0
    file = request.files["file"]
    while block := file.stream.read(65536):
        digest.update(block)
        length += len(block)
    return jsonify(filename=file.filename, bytes=length, sha256=digest.hexdigest())


@app.get("/redirect")
def to_target():
    return redirect(url_for("target", _external=True))


@app.get("/target")
def target():
    return "the target"


@app.get("/where")
def where():
    """How the application sees the way that the request took."""
    return jsonify(
        url=url_for("target", _external=True),
        scheme=request.scheme,
        host=request.host,
        client=request.remote_addr,
        root=request.root_path,
    )


@app.post("/feed/<name>")
def add(name):
    feed_named(name).append(request.get_data(as_text=True))
    return "", 204


@app.delete("/feed/<name>")
def end(name):
    feed_named(name).close()
    return "", 204


@app.get("/feed/<name>")
def follow(name):
    lines = feed_named(name).follow()
    return Response((line + "\n" for line in lines), mimetype="text/plain")


@app.get("/events/<name>")
def events(name):
    lines = feed_named(name).follow()
    return Response(
        (f"data: {line}\n\n" for line in lines),
        mimetype="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


@app.get("/async")
async def asynchronous():
    first, second = await asyncio.gather(part("asynchronous"), part("view"))
    return f"{first} {second}"


async def part(word):
    await asyncio.sleep(0)
    return word


@app.get("/error")
def error():
    raise ValueError("the view is broken")
