"""What the real SDKs need, fetched once into a cache outside the checkout.

One folder per lock file and its content: ``~/.cache/gateway-tests/NAME-HASH``. What is
missing on the machine is said with its remedy; nothing is skipped.
"""

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
REMEDIES = {
    "node": "Node.js 20 or later",
    "npm": "Node.js 20 or later",
    "java": "a Java 17 JDK",
    "javac": "a Java 17 JDK",
    "keytool": "a Java 17 JDK",
    "mvn": "Maven 3",
    "openssl": "OpenSSL 3",
    "chromium": "Chromium",
    "curl": "curl",
}


Command = Sequence[str | Path]


def program(name: str) -> str:
    """Where a program is; RuntimeError says what to install when it is nowhere."""
    found = shutil.which(name)
    if found is None:
        remedy = REMEDIES[name]
        raise RuntimeError(f"the tests with real SDKs need {name}: install {remedy}")
    return found


def run(command: Command, **options: object) -> None:
    """Run to the end; RuntimeError with what it said when it failed."""
    done = subprocess.run(  # type: ignore[call-overload]
        command, capture_output=True, text=True, check=False, **options
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-2_000:]
        raise RuntimeError(f"{Path(command[0]).name} failed:\n{said}")


def cached(name: str, files: Sequence[Path], fill: Callable[[Path], None]) -> Path:
    """The folder that ``fill`` made from these files, now or in an earlier run.

    It is made where it stays, since environments hold their own path; the mark of
    completeness is written last. Who comes while another makes it waits.
    """
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in files))
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "gateway-tests" / f"{name}-{digest.hexdigest()[:12]}"
    done = folder / ".done"
    if done.exists():
        return folder
    home.joinpath("gateway-tests").mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            fill(folder)
            done.touch()
    return folder


def environment(name: str, lock: Path) -> Path:
    """The interpreter of an environment that has what the lock file names."""
    version = "".join(map(str, sys.version_info[:2]))

    def fill(folder: Path) -> None:
        run([sys.executable, "-m", "venv", folder])
        pip: list[str | Path] = [
            folder / "bin/python",
            "-m",
            "pip",
            "install",
            "--quiet",
        ]
        run([*pip, "--disable-pip-version-check", "--require-hashes", "-r", lock])

    return cached(f"{name}-python{version}", [lock], fill) / "bin/python"


@functools.cache
def python() -> Path:
    """The interpreter that has the SDKs of PyPI."""
    return environment("sdks", HERE / "python/requirements.txt")


@functools.cache
def node() -> Path:
    """The folder that has the SDKs of npm in ``node_modules``, and the drivers.

    Node finds packages from where a script is, so the scripts are copied there; the
    page is bundled there too.
    """
    return modules("sdks-node", HERE / "node")


def modules(name: str, source: Path) -> Path:
    """The folder with what a package.json and its lock name, and the scripts beside."""
    files = [source / "package.json", source / "package-lock.json"]
    program("node")

    def fill(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        # Not `ci`: it wants optional binaries of all platforms in the lock file.
        command = [program("npm"), "install", "--no-save", "--no-audit", "--no-fund"]
        run([*command, "--ignore-scripts", "--loglevel=error", "--prefix", folder])

    folder = cached(name, files, fill)
    for script in source.glob("*.js"):
        shutil.copy(script, folder)
    return folder


@functools.cache
def page() -> Path:
    """The browser SDKs and our page as one script, bundled by esbuild."""
    folder = node()
    bundle = folder / "bundle.js"
    command: list[str | Path] = [
        folder / "node_modules/.bin/esbuild",
        folder / "page.js",
        "--bundle",
    ]
    flags = ["--minify", "--log-level=error", '--define:process.env.NODE_ENV="test"']
    run([*command, *flags, f"--outfile={bundle}"])
    return bundle


@functools.cache
def java() -> str:
    """The class path of the SDKs of Maven Central and their compiled driver."""
    pom, source = HERE / "java/pom.xml", HERE / "java/Drive.java"
    program("java")

    def fetch(folder: Path) -> None:
        command: list[str | Path] = [program("mvn"), "-q", "-B", "-f", pom]
        copy = ["dependency:copy-dependencies", "-DincludeScope=runtime"]
        run([*command, *copy, f"-DoutputDirectory={folder}"])

    jars = cached("sdks-java", [pom], fetch)

    def compiled(folder: Path) -> None:
        run([program("javac"), "-cp", f"{jars}/*", "-d", folder, source])

    return f"{cached('sdks-driver', [pom, source], compiled)}:{jars}/*"


@functools.cache
def chromium() -> str:
    """A Chromium; installed from Debian's packages where that is allowed."""
    if shutil.which("chromium") is None and os.geteuid() == 0:
        apt = shutil.which("apt-get")
        if apt is not None:
            quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
            run([apt, "update", "-qq"], **quiet)
            install = [apt, "install", "-y", "-qq", "--no-install-recommends"]
            run([*install, "chromium"], **quiet)
    return program("chromium")


def certify(folder: Path) -> None:
    """A test CA, a certificate of 127.0.0.1 and localhost, and Java's truststore.

    Makes ``ca.pem``, ``cert.pem``, ``key.pem`` and ``trust.p12`` (password: secret).
    """
    request = [program("openssl"), "req", "-x509", "-newkey", "ec", "-nodes"]
    request += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]
    run(
        [*request, "-subj", "/CN=Test CA", "-keyout", "ca.key", "-out", "ca.pem"],
        cwd=folder,
    )
    leaf = ["-subj", "/CN=localhost", "-CA", "ca.pem", "-CAkey", "ca.key"]
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
    leaf += ["-addext", names, "-addext", "basicConstraints=critical,CA:false"]
    run([*request, *leaf, "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder)
    trust = [program("keytool"), "-importcert", "-noprompt", "-alias", "test"]
    store = ["-keystore", "trust.p12", "-storetype", "PKCS12", "-storepass", "secret"]
    run([*trust, "-file", "ca.pem", *store], cwd=folder)
