"""A typical Flask application: pages, form, JSON, session, file, stream, errors."""

from flask import (
    Flask,
    Response,
    abort,
    jsonify,
    redirect,
    render_template_string,
    request,
    send_file,
    session,
    stream_with_context,
    url_for,
)

app = Flask(__name__)
app.secret_key = "only for the test"


@app.get("/")
def index():
    page = '<a href="{{ url_for(\'items\') }}">items</a> <a href="/file">file</a> {{ name }}'
    return render_template_string(page, name=request.args.get("name", "nobody"))


@app.get("/items")
def items():
    return jsonify(path=request.path, agent=request.headers.get("User-Agent"))


@app.route("/form", methods=["GET", "POST"])
def form():
    return f"<p>{request.form.get('name', '')}</p><form method=post><input name=name></form>"


@app.post("/json")
def json():
    return jsonify(request.get_json())


@app.get("/visits")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return f"visit {session['visits']}"


@app.get("/file")
def file():
    return send_file(__file__, mimetype="text/x-python", conditional=True)


@app.get("/stream")
def stream():
    return Response(stream_with_context(f"{n}\n" * 100 for n in range(20)), mimetype="text/plain")


@app.get("/moved")
def moved():
    return redirect(url_for("index", _external=True))


@app.get("/nothing")
def nothing():
    return "", 204


@app.get("/forbidden")
def forbidden():
    abort(403)


@app.get("/broken")
def broken():
    raise RuntimeError("shown as 500 by Flask")
