"""The same on Bottle."""

import os

from bottle import Bottle, HTTPResponse, abort, redirect, request, response, static_file, template

app = Bottle()


@app.get("/")
def index():
    return template("<a href='/items'>items</a> {{name}}", name=request.query.get("name", "nobody"))


@app.get("/items")
def items():
    return {"path": request.path, "agent": request.get_header("User-Agent")}


@app.post("/form")
def form():
    return request.forms.get("name", "")


@app.post("/json")
def json():
    return {"got": request.json}


@app.get("/visits")
def visits():
    count = int(request.get_cookie("visits", "0")) + 1
    response.set_cookie("visits", str(count))
    return f"visit {count}"


@app.get("/file")
def file():
    return static_file(os.path.basename(__file__), root=os.path.dirname(__file__))


@app.get("/stream")
def stream():
    return (f"{n}\n" * 100 for n in range(20))


@app.get("/moved")
def moved():
    redirect("/")


@app.get("/nothing")
def nothing():
    return HTTPResponse(status=204)


@app.get("/forbidden")
def forbidden():
    abort(403, "no")


@app.get("/broken")
def broken():
    raise RuntimeError("shown as 500 by Bottle")
