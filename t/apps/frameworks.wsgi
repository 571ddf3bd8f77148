# SPDX-License-Identifier: Apache-2.0
"""A small application in each framework, below /frameworks/NAME.

Routes of each: /hello/WHO answers "hello WHO"; POST /form answers the field
"a"; /cookies sets two; /stream streams; /missing is a 404 of its own; /boom
raises.
"""
import importlib
import logging
from wsgiref.util import shift_path_info

logging.basicConfig(format="%(message)s")


def _chunks():
    for i in range(3):
        yield b"part %d\n" % i


def make_flask():
    import flask
    app = flask.Flask("weave_flask")

    @app.route("/hello/<who>")
    def hello(who):
        return "hello " + who

    @app.route("/form", methods=["POST"])
    def form():
        return flask.request.form["a"]

    @app.route("/cookies")
    def cookies():
        response = flask.make_response("set")
        response.set_cookie("one", "1")
        response.set_cookie("two", "2")
        return response

    @app.route("/stream")
    def stream():
        return flask.Response(_chunks(), mimetype="text/plain")

    @app.route("/url")
    def url():
        return flask.url_for("hello", who="x")

    @app.route("/boom")
    def boom():
        raise ValueError("boom of flask")

    return app


def make_django():
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path, reverse

    def hello(request, who):
        return HttpResponse("hello " + who)

    def form(request):
        return HttpResponse(request.POST["a"])

    def cookies(request):
        response = HttpResponse("set")
        response.set_cookie("one", "1")
        response.set_cookie("two", "2")
        return response

    def stream(request):
        return StreamingHttpResponse(_chunks(), content_type="text/plain")

    def url(request):
        return HttpResponse(reverse("hello", args=["x"]))

    def boom(request):
        raise ValueError("boom of django")

    class Urls:
        urlpatterns = [
            path("hello/<str:who>", hello, name="hello"),
            path("form", form), path("cookies", cookies),
            path("stream", stream), path("url", url), path("boom", boom),
        ]

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=Urls,
                       SECRET_KEY="only for tests", USE_TZ=True)
    return get_wsgi_application()


def make_pyramid():
    from pyramid.config import Configurator
    from pyramid.response import Response

    def hello(request):
        return Response("hello " + request.matchdict["who"])

    def form(request):
        return Response(request.POST["a"])

    def cookies(request):
        response = Response("set")
        response.set_cookie("one", "1")
        response.set_cookie("two", "2")
        return response

    def stream(request):
        return Response(app_iter=_chunks(), content_type="text/plain")

    def url(request):
        return Response(request.route_path("hello", who="x"))

    def boom(request):
        raise ValueError("boom of pyramid")

    with Configurator() as config:
        config.add_route("hello", "/hello/{who}")
        config.add_view(hello, route_name="hello")
        for view in (form, cookies, stream, url, boom):
            config.add_route(view.__name__, "/" + view.__name__)
            config.add_view(view, route_name=view.__name__)
        return config.make_wsgi_app()


def make_falcon():
    import falcon

    class Hello:
        def on_get(self, request, response, who):
            response.text = "hello " + who

    class Form:
        def on_post(self, request, response):
            response.text = request.get_media()["a"]

    class Cookies:
        def on_get(self, request, response):
            response.text = "set"
            response.set_cookie("one", "1")
            response.set_cookie("two", "2")

    class Stream:
        def on_get(self, request, response):
            response.content_type = "text/plain"
            response.stream = _chunks()

    class Url:
        def on_get(self, request, response):
            response.text = request.root_path + "/hello/x"

    class Boom:
        def on_get(self, request, response):
            raise ValueError("boom of falcon")

    app = falcon.App()
    app.add_route("/hello/{who}", Hello())
    for name, resource in (("form", Form()), ("cookies", Cookies()),
                           ("stream", Stream()), ("url", Url()),
                           ("boom", Boom())):
        app.add_route("/" + name, resource)
    return app


def make_bottle():
    import bottle
    app = bottle.Bottle()

    @app.get("/hello/<who>")
    def hello(who):
        return "hello " + who

    @app.post("/form")
    def form():
        return bottle.request.forms.a

    @app.get("/cookies")
    def cookies():
        bottle.response.set_cookie("one", "1")
        bottle.response.set_cookie("two", "2")
        return "set"

    @app.get("/stream")
    def stream():
        bottle.response.content_type = "text/plain"
        return _chunks()

    @app.get("/url")
    def url():
        return bottle.request.script_name.rstrip("/") + "/hello/x"

    @app.get("/boom")
    def boom():
        raise ValueError("boom of bottle")

    return app


def make_httpbin():
    return importlib.import_module("httpbin").app


_apps = {}


def application(environ, start_response):
    shift_path_info(environ)
    name = shift_path_info(environ)
    try:
        if name not in _apps:
            _apps[name] = globals()["make_" + name]()
    except ImportError as error:
        start_response("501 Not Installed", [("Content-Type", "text/plain")])
        return [str(error).encode()]
    return _apps[name](environ, start_response)
