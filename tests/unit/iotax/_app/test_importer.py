"""Loading: every form of APP, and the report of every failure."""

import importlib
import sys
from pathlib import Path

import pytest

from iotax._app.importer import load
from iotax._app.load_error import LoadError

APP = "def {}(environ, start_response):\n    return []\n"


def write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def screen(target: str, *, factory: bool = False) -> str:
    with pytest.raises(LoadError) as caught:
        load(target, factory=factory)
    text = str(caught.value)
    assert text.startswith(f"Cannot load the application {target}\n\nTried:   ")
    assert "\nFrom:    " in text
    assert "\nProblem: " in text
    assert "\nFix:     " in text
    assert "iotax/_app/importer.py" not in text
    assert "importlib" not in text
    return text


def test_module_and_attribute_are_found(project: Path) -> None:
    write(project, {"main_a.py": APP.format("app")})
    loaded = load("main_a:app")
    assert loaded.application is sys.modules["main_a"].app
    assert loaded.name == "main_a:app"


def test_packages_and_dotted_attributes_are_found(project: Path) -> None:
    text = APP.format("app") + "class ns:\n    inner = staticmethod(app)\n"
    write(project, {"pack_a/__init__.py": "", "pack_a/sub/wsgi.py": text})
    assert load("pack_a.sub.wsgi:ns.inner").application is sys.modules["pack_a.sub.wsgi"].app


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (APP.format("app") + APP.format("application"), "application"),
        (APP.format("app"), "app"),
    ],
)
def test_without_attribute_application_comes_before_app(
    project: Path, text: str, name: str
) -> None:
    write(project, {"main_b.py": text})
    loaded = load("main_b")
    assert loaded.application is getattr(sys.modules["main_b"], name)
    assert loaded.name == f"main_b:{name}"


FACTORY = """
def create_app(*args, **named):
    def app(environ, start_response):
        return []
    app.made_with = args, named
    return app
"""


@pytest.mark.parametrize(
    ("call", "positional", "named"),
    [
        ("create_app()", (), {}),
        ("create_app('x', -1, [1, {'a': (None, True)}])", ("x", -1, [1, {"a": (None, True)}]), {}),
        ("create_app(debug=False, level=2.5)", (), {"debug": False, "level": 2.5}),
    ],
)
def test_factory_is_called_with_the_literals(
    project: Path, call: str, positional: tuple[object, ...], named: dict[str, object]
) -> None:
    write(project, {"main_c.py": FACTORY})
    assert load(f"main_c:{call}").application.made_with == (positional, named)  # type: ignore[attr-defined]


def test_factory_option_calls_the_factory(project: Path) -> None:
    write(project, {"main_d.py": FACTORY})
    assert load("main_d:create_app", factory=True).application.made_with == ((), {})  # type: ignore[attr-defined]
    assert "--factory and parentheses cannot be combined" in screen(
        "main_d:create_app()", factory=True
    )


@pytest.mark.parametrize(
    "made",
    [
        "lambda e, s: []",
        "functools.partial(print)",
        "staticmethod(print)",
        "type('App', (), {'__init__': lambda s, e, r: None, '__iter__': lambda s: iter([])})",
        "type('App', (), {'__call__': lambda s, e, r: []})()",
        "len",
    ],
)
def test_any_callable_is_an_application(project: Path, made: str) -> None:
    write(project, {"main_e.py": f"import functools\napp = {made}\n"})
    assert load("main_e:app").application is sys.modules["main_e"].app


def test_loading_does_not_access_attributes_of_the_application(project: Path) -> None:
    text = """
seen = []
class App:
    def __call__(self, environ, start_response):
        return []
    def __getattribute__(self, name):
        seen.append(name)
        return object.__getattribute__(self, name)
app = App()
"""
    write(project, {"main_f.py": text})
    load("main_f:app")
    assert sys.modules["main_f"].seen == []


def test_reload_imports_again_into_the_same_module(project: Path) -> None:
    write(project, {"main_g.py": "import itertools\n" + APP.format("app")})
    first = load("main_g:app").application
    assert load("main_g:app").application is first
    module = sys.modules["main_g"]
    second = load("main_g:app", reload=True).application
    assert second is not first
    assert sys.modules["main_g"] is module


# ---- failures


def test_missing_module_names_the_nearest(project: Path) -> None:
    write(project, {"mainpage.py": "", "unlike.py": ""})
    text = screen("mainpag:app")
    assert 'module "mainpag" not found' in text
    assert "did you mean mainpage:app?" in text
    assert f"From:    {project} (the current directory)" in text
    assert "Traceback" not in text


def test_missing_module_lists_existing_modules(project: Path) -> None:
    write(project, {"shop/__init__.py": "", "space/views.py": ""})
    assert "name an existing module: shop, space" in screen("qqq:app")


def test_missing_module_in_an_empty_directory_proposes_chdir(project: Path) -> None:
    assert "iotax --chdir DIR qqq:app" in screen("qqq:app")


def test_missing_module_in_a_package_names_the_nearest(project: Path) -> None:
    write(project, {"pack_i/__init__.py": "", "pack_i/wsgi.py": ""})
    text = screen("pack_i.wsig:app")
    assert 'module "pack_i.wsig" not found' in text
    assert "did you mean pack_i.wsgi:app?" in text
    assert "did you mean pack_i.wsgi:app?" in screen("pack_j.wsgi:app")


def test_dot_in_place_of_the_colon_is_explained(project: Path) -> None:
    write(project, {"main_j.py": APP.format("app")})
    text = screen("main_j.app")
    assert '"main_j" is a module, not a package' in text
    assert "separate module and attribute with a colon: iotax main_j:app" in text


@pytest.mark.parametrize(
    ("target", "fix"),
    [
        ("main.py", "iotax main:app"),
        ("main.py:application", "iotax main:application"),
        ("./src/main.py:app", "iotax src.main:app"),
        ("src/main", "iotax src.main:app"),
        ("/srv/shop/main.py", "iotax --chdir /srv/shop main:app"),
    ],
)
def test_file_in_place_of_a_module_is_explained(project: Path, target: str, fix: str) -> None:
    text = screen(target)
    assert f"{target} is a file" in text
    assert text.endswith(f"Fix:     {fix}")


@pytest.mark.parametrize(
    ("target", "problem", "fix"),
    [
        (":app", '"" is not a valid module name', "iotax main:app"),
        ("my-app:app", '"my-app" is not a valid module name', "iotax main:app"),
        ("main:", "the attribute after the colon is missing", "iotax main:app"),
        ("main:1+1", '"1+1" is neither an attribute nor a call of one', "'main:create_app()'"),
        ("main:a b", '"a b" is neither', "iotax main:app"),
        ("main:f(x)", '"f(x)" has an argument that is not a literal', "write literals"),
        ("main:f(**{})", "has an argument that is not a literal", "write literals"),
        ("main:f({[]: 1})", "has an argument that is not a literal", "write literals"),
        ("main:f()()", "is neither an attribute nor a call of one", "'main:create_app()'"),
    ],
)
def test_invalid_target_is_explained(project: Path, target: str, problem: str, fix: str) -> None:
    text = screen(target)
    assert problem in text
    assert fix in text.rpartition("Fix:")[2]


@pytest.mark.parametrize(
    ("module", "problem", "fix"),
    [
        ("import nothere.sub\n", "No module named 'nothere'", "-m pip install nothere"),
        ("1 / 0\n", "ZeroDivisionError: division by zero", "correct the error above"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3", "under if __name__ == '__main__':"),
        ("def f(:\n", "SyntaxError: invalid syntax", "correct line 1 of"),
        ("from main_k import app\n", "circular import", "import each other"),
        (
            "class ImproperlyConfigured(Exception): pass\nraise ImproperlyConfigured('SECRET')\n",
            "ImproperlyConfigured: SECRET",
            "set DJANGO_SETTINGS_MODULE",
        ),
    ],
)
def test_error_inside_the_module_shows_its_line(
    project: Path, module: str, problem: str, fix: str
) -> None:
    write(project, {"main_k.py": module})
    text = screen("main_k:app")
    assert "importing main_k failed: " in text
    assert problem in text
    assert fix in text.rpartition("Fix:")[2]
    assert f'File "{project / "main_k.py"}", line ' in text


def test_traceback_begins_with_the_application(project: Path) -> None:
    write(project, {"main_l.py": "import deep_l\n", "deep_l.py": "def f():\n    1 / 0\nf()\n"})
    text = screen("main_l:app")
    frames = [line.strip() for line in text.splitlines() if line.startswith("  File ")]
    assert [frame.partition(", in")[0] for frame in frames] == [
        f'File "{project / "main_l.py"}", line 1',
        f'File "{project / "deep_l.py"}", line 3',
        f'File "{project / "deep_l.py"}", line 2',
    ]


def test_missing_attribute_names_the_nearest(project: Path) -> None:
    write(project, {"main_m.py": APP.format("application") + "async def applicatio(s): ...\n"})
    text = screen("main_m:aplication")
    assert 'main_m has no attribute "aplication"' in text
    assert f"From:    {project / 'main_m.py'}" in text
    assert "did you mean main_m:application?" in text


def test_missing_attribute_in_a_dotted_name_names_the_nearest(project: Path) -> None:
    write(project, {"main_n.py": "class ns:\n    class inner:\n        app = print\n"})
    assert "did you mean main_n:ns.inner.app?" in screen("main_n:ns.iner.app")


def test_missing_usual_attributes_are_named(project: Path) -> None:
    write(project, {"main_o.py": "def create_app(): ...\n", "main_p.py": "def index(): ...\n"})
    text = screen("main_o")
    assert 'has neither "application" nor "app"' in text
    assert "did you mean 'main_o:create_app()'?" in text
    assert "name one of these: index" in screen("main_p")
    write(project, {"main_q.py": ""})
    assert "define the application there" in screen("main_q")


def test_attribute_that_raises_is_explained(project: Path) -> None:
    write(project, {"main_r.py": "def __getattr__(name):\n    return {}.missing\n"})
    text = screen("main_r:app")
    assert "main_r.app failed: AttributeError" in text
    assert 'main_r.py", line 2' in text


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{}", "main_s:app is a dict and not callable; a WSGI"),
        ("None", "main_s:app is a NoneType"),
        ("1", "main_s:app is an int"),
        ("sys", "main_s:app is a module"),
    ],
)
def test_object_that_is_not_callable_is_explained(project: Path, value: str, problem: str) -> None:
    write(project, {"main_s.py": f"import sys\napp = {value}\n"})
    assert problem in screen("main_s:app")


@pytest.mark.parametrize(
    "value",
    [
        "async def app(scope, receive, send): ...",
        "class A:\n    async def __call__(self, scope, receive, send): ...\napp = A()",
    ],
)
def test_asgi_application_is_recognized(project: Path, value: str) -> None:
    write(project, {"main_t.py": value})
    text = screen("main_t:app")
    assert "main_t:app looks like an ASGI application (its call is async)" in text
    assert "wsgi module instead of asgi" in text


@pytest.mark.parametrize(
    ("call", "problem", "fix"),
    [
        ("fails()", "fails() failed: ValueError: no", "correct the error above"),
        ("leaves()", "leaves() failed: SystemExit: 1", "correct the error above"),
        ("needs()", "needs does not take these arguments: needs() missing 1", 'needs("test")\''),
        (
            "nothing()",
            "nothing() returned None, which is not",
            "let nothing return the application",
        ),
        ("later()", "later is an async function", "make the factory a plain function"),
        ("text()", "main_u:text is a str and not callable", "iotax main_u:text"),
        ("number()", "number() returned an int, which is not callable", "let number return"),
    ],
)
def test_factory_that_fails_is_explained(project: Path, call: str, problem: str, fix: str) -> None:
    text = """
def fails(): raise ValueError("no")
def leaves(): raise SystemExit(1)
def needs(x): ...
def nothing(): ...
async def later(): ...
text = "x"
def number(): return 1
def app(): ...
"""
    write(project, {"main_u.py": text})
    shown = screen(f"main_u:{call}")
    assert problem in shown
    assert fix in shown.rpartition("Fix:")[2]


def test_interrupt_during_the_import_is_raised(project: Path) -> None:
    write(project, {"main_v.py": "raise KeyboardInterrupt\n"})
    importlib.invalidate_caches()
    with pytest.raises(KeyboardInterrupt):
        load("main_v:app")


def test_traceback_begins_at_the_first_frame_of_the_project(project: Path) -> None:
    installed = project / "site-packages"
    installed.mkdir()
    (installed / "framework.py").write_text("import own_settings\napp = None\n")
    (project / "own_settings.py").write_text("DEBUG = undefined\n")
    sys.path.insert(0, str(installed))
    with pytest.raises(LoadError) as caught:
        load("framework:app")
    assert "own_settings.py" in caught.value.trace
    assert "framework.py" not in caught.value.trace
