"""--reload keeps third-party modules imported: what must not change by that, and when it is
cold."""

import os
import shutil
import signal

import pytest
from support.processes import children, has_ended, threads
from support.project import VIEW, Project
from support.server import SAMPLES


@pytest.fixture
def installed(tmp_path):
    """A directory of installed packages."""
    directory = tmp_path / "venv/site-packages"
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def project(start, tmp_path, installed):
    project = Project(tmp_path / "project", start)
    serve = project.serve
    path = {"PYTHONPATH": str(installed)}
    project.serve = lambda *more, env={}: serve(*more, env={**path, **env})
    return project


def reload_until_warm(project, save):
    """Save until the template is ready. Returns how each reload went."""
    how = []
    while not how or how[-1] in (
        "cold: no module is imported in advance yet",
        "cold: modules are still being imported in advance",
    ):
        save(len(how))
        how.append(project.reloaded())
    return how


def test_third_party_modules_stay_and_own_ones_do_not(project, installed):
    (installed / "third.py").write_text("import os\nimported_in = os.getpid()\n")
    project.write("own.py", "import os\nimported_in = os.getpid()\n")

    def save(number):
        value = f"{number} {{os.getpid()}} {{third.imported_in}} {{own.imported_in}}"
        text = "import os, own, third\n" + VIEW.replace("{value!r}", f"f'{value}'")
        project.save("main.py", text)

    save("first")
    project.serve()
    project.text()
    assert reload_until_warm(project, save)[-1] == "warm"
    _, worker, third, own = project.text().split()
    assert own == worker
    assert third != worker


def test_environment_and_path_of_one_version_do_not_reach_the_next(project):
    shown = VIEW.replace("{value!r}", "str((os.environ.get('LEFT'), 'left' in sys.path))")

    def save(number):
        project.save("main.py", f"import os, sys\nnumber = {number!r}\n" + shown)

    project.save(
        "main.py", "import os, sys\nos.environ['LEFT'] = '1'\nsys.path.append('left')\n" + shown
    )
    project.serve()
    assert project.text() == "('1', True)"
    assert reload_until_warm(project, save)[-1] == "warm"
    assert project.text() == "(None, False)"


def test_module_that_depends_on_the_projects_environment_is_imported_again(project, installed):
    """It read the variable at its import."""
    (installed / "third.py").write_text("import os\nmode = os.environ.get('MODE', 'unset')\n")

    def save(number):
        text = f"import os\nos.environ['MODE'] = 'mode {number}'\nimport third\n"
        project.save("main.py", text + VIEW.replace("{value!r}", "third.mode"))

    save("first")
    project.serve()
    assert project.text() == "mode first"
    count = len(reload_until_warm(project, save))
    assert project.text() == f"mode {count - 1}"


def test_reload_cold_starts_every_worker_cold(project):
    project.answers("one")
    project.serve("main:app", "--reload-cold")
    project.text()
    for number in range(2):
        project.answers(f"next {number}")
        assert project.reloaded() == "cold: --reload-cold"


def test_workers_start_cold_when_an_import_leaves_a_thread(project, installed):
    (installed / "third.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    project.answers("one", ahead="import third\n")
    project.serve()
    project.text()
    how = reload_until_warm(project, lambda n: project.answers(f"next {n}", ahead="import third\n"))
    assert how[-1] == "cold: importing third left a thread running"


@pytest.mark.parametrize("change", ["a module", "a package is installed"])
def test_workers_start_cold_when_installed_packages_have_changed(project, installed, change):
    (installed / "third.py").write_text("version = 1\n")

    def save(number):
        text = f"import third\nnumber = {number!r}\n"
        project.save("main.py", text + VIEW.replace("{value!r}", "str(third.version)"))

    save("first")
    project.serve()
    assert project.text() == "1"
    assert reload_until_warm(project, save)[-1] == "warm"
    if change == "a module":
        (installed / "third.py").write_text("version = 2\n")
    else:
        (installed / "another.py").write_text("")
    save("changed")
    path = installed / "third.py" if change == "a module" else installed
    assert project.reloaded() == f"cold: {path} has changed"
    assert project.text() == ("2" if change == "a module" else "1")
    assert reload_until_warm(project, save)[-1] == "warm"


def test_reload_works_after_the_template_died(project, installed):
    (installed / "third.py").write_text(
        "import os\nif os.path.exists('/proc/self') and os.environ.get('DIE'): os._exit(3)\n"
    )
    project.answers("one")
    project.serve()
    project.text()
    assert reload_until_warm(project, lambda n: project.answers(f"next {n}"))[-1] == "warm"
    os.kill(template(project), signal.SIGKILL)
    project.answers("after")
    assert project.reloaded().startswith("cold: the template process was killed by SIGKILL")
    assert project.text() == "after"


def template(project):
    """The process whose only thread is not its first one: it watches."""
    while True:  # old workers may still be draining
        project.text()
        others = sorted(children(project.server.pid))[1:]
        found = [pid for pid in others if not has_ended(pid) and threads(pid) == 1]
        if len(found) == 1:
            return found[0]


# ---- Django


@pytest.fixture
def django(project, tmp_path):
    """The sample project with an application that has a model."""
    pytest.importorskip("django")
    shutil.copytree(SAMPLES / "django_project", project.directory, dirs_exist_ok=True)
    settings = project.directory / "site_config/settings.py"
    settings.write_text(settings.read_text().replace('"guestbook"]', '"guestbook", "shelf"]'))
    project.write("shelf/__init__.py", "")
    project.write("shelf/models.py", MODELS.format(field="title"))
    urls = project.directory / "site_config/urls.py"
    urls.write_text(
        urls.read_text().replace("urlpatterns = [", 'urlpatterns = [\n    path("shelf", shelf),')
        + "\n"
    )
    urls.write_text("from shelf.views import shelf\n" + urls.read_text())
    project.write("shelf/views.py", VIEWS)
    project.serve("site_config.wsgi", env={"SAMPLE_DATA_DIR": str(tmp_path)})
    return project


MODELS = """\
from django.db import models


class Book(models.Model):
    {field} = models.CharField(max_length=80)
    id = models.BigAutoField(primary_key=True)
"""
VIEWS = """\
from django.conf import settings
from django.http import HttpResponse

from shelf.models import Book


def shelf(request):
    names = sorted(field.name for field in Book._meta.fields)
    return HttpResponse(f"{names} {getattr(settings, 'SHELF', None)}")
"""


def test_django_sees_changed_settings_and_models(django):
    assert django.text("/shelf") == "['id', 'title'] None"
    settings = (django.directory / "site_config/settings.py").read_text()
    how = reload_until_warm(
        django, lambda n: django.save("site_config/settings.py", f"{settings}\nSHELF = {n}\n")
    )
    assert how[-1] == "warm"
    assert django.text("/shelf") == f"['id', 'title'] {len(how) - 1}"
    django.save("shelf/models.py", MODELS.format(field="author"))
    assert django.reloaded() == "warm"
    assert django.text("/shelf") == f"['author', 'id'] {len(how) - 1}"
    django.save("site_config/settings.py", "1 / 0\n")
    django.failed()
    assert "ZeroDivisionError" in django.ask("/shelf").text
    django.save("site_config/settings.py", f"{settings}\nSHELF = 'whole'\n")
    assert django.reloaded() == "warm"
    assert django.text("/shelf") == "['author', 'id'] whole"
