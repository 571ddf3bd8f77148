# SPDX-License-Identifier: Apache-2.0
"""C extensions in the main interpreter: import one and use it."""
import importlib

from weave_test import case


def use_ssl(module):
    return module.create_default_context().verify_mode == module.CERT_REQUIRED


def use_decimal(module):
    return str(module.Decimal("0.1") + module.Decimal("0.2")) == "0.3"


def use_json(module):
    return module.loads(module.dumps({"\u20ac": [1.5]})) == {"\u20ac": [1.5]}


def use_sqlite3(module):
    db = module.connect(":memory:")
    return db.execute("select 40 + 2").fetchone() == (42,)


def use_hashlib(module):
    return module.sha256(b"").hexdigest().startswith("e3b0c442")


def use_zlib(module):
    return module.decompress(module.compress(b"x" * 99)) == b"x" * 99


def use_ctypes(module):
    return module.pythonapi.Py_IsInitialized() == 1


def use_multiprocessing(module):
    return module.Lock().acquire()


def use_threading(module):
    return module.main_thread() is not None


def use_concurrent_futures(module):
    with module.ThreadPoolExecutor(3) as pool:
        return sum(pool.map(lambda n: n * n, range(10))) == 285


def use_subprocess(module):
    return module.check_output(["echo", "hi"]) == b"hi\n"


def use_asyncio(module):
    async def answer():
        await module.sleep(0.01)
        return 42
    return module.run(answer()) == 42


def use_signal(module):
    try:
        module.signal(module.SIGUSR1, module.SIG_IGN)
    except ValueError:
        pass
    return module.getsignal(module.SIGUSR1) is not module.SIG_IGN


def use_bcrypt(module):
    return module.checkpw(b"pw", module.hashpw(b"pw", module.gensalt(4)))


def use_argon2(module):
    hasher = module.PasswordHasher(time_cost=1, memory_cost=64)
    return hasher.verify(hasher.hash("pw"), "pw")


def use_sqlalchemy(module):
    engine = module.create_engine("sqlite://")
    with engine.connect() as connection:
        return connection.execute(module.text("select 1")).scalar() == 1


def application(environ, start_response):
    name = case(environ)
    plain = [("Content-Type", "text/plain")]
    try:
        module = importlib.import_module(name.replace("-", "."))
    except ImportError as error:
        start_response("501 Not Installed", plain)
        return [str(error).encode()]
    result = globals()["use_" + name.replace("-", "_")](module)
    start_response("200 OK", plain)
    return [str(result).encode()]
