"""No private key lies in Redis' files in clear, and what happened can be read from the streams."""
import base64
import glob
import os
import subprocess
import sys

import pytest
from conftest import TOP, running_stack
from servers import wait_until


@pytest.fixture(scope="module")
def one():
    yield from running_stack(sync=False)


KEYS = {"p256": "ecdsa-p256", "p384": "ecdsa-p384", "rsa": "rsa-2048"}


def openssl(*args, stdin=None, binary=True):
    done = subprocess.run(["openssl", *args], input=stdin, capture_output=True, check=True)
    return done.stdout if binary else done.stdout.decode()


def forms(key_file):
    """Every form in which a key could lie about: DER by two standards, the numbers themselves, and their texts."""
    pkcs8 = openssl("pkcs8", "-topk8", "-nocrypt", "-in", key_file, "-outform", "DER")
    traditional = openssl("pkey", "-in", key_file, "-traditional", "-outform", "DER")
    with open(key_file, "rb") as f:
        pem = f.read()
    # The second line of an RSA key is its public part, the last ones of either are not.
    yield from (pkcs8, traditional, pem, b"".join(pem.splitlines()[-3:-1]))
    text = openssl("pkey", "-in", key_file, "-text", "-noout", binary=False)
    for number in secret_numbers(text):
        yield from (number, number.hex().encode(), number.hex().upper().encode(), base64.b64encode(number)[:40],
                    base64.urlsafe_b64encode(number)[:40])


def secret_numbers(text):
    """The private scalar, or exponent and primes, from what `openssl pkey -text` prints."""
    found, number = [], None
    for line in text.splitlines():
        if not line.startswith(" "):
            number = [] if line.startswith(("priv", "prime")) else None
            if number is not None:
                found.append(number)
        elif number is not None:
            number.append(line.strip().replace(":", ""))
    assert found, text
    return [bytes.fromhex("".join(n)).lstrip(b"\0") for n in found]


def test_no_private_key_in_clear(one, patience):
    for endpoint, kind in KEYS.items():
        name = f"{endpoint}.internal.test"
        one.knot.add(one.challenge_cname(name))
        one.cli("endpoint", "add", name, "--type", "internal", "--id", endpoint, "--key-type", kind)
    one.wait_states("active", KEYS, 60 * patience)
    one.redis.command("config", "set", "rdbcompression", "no")
    one.redis.command("save")
    files = [one.redis.path("dump.rdb"), *glob.glob(one.redis.path("appendonlydir", "*"))]
    stored = b"".join(open(path, "rb").read() for path in files)
    assert b"p256.internal.test" in stored  # it is the right file
    assert b"PRIVATE KEY" not in stored
    for endpoint in KEYS:
        folder = one.path(f"export-{endpoint}")
        one.cli("certificate", "export", endpoint, "--dir", folder)
        key = os.path.join(folder, "privkey.pem")
        assert os.stat(key).st_mode & 0o077 == 0, "others may read it"
        certificate = openssl("x509", "-in", os.path.join(folder, "cert.pem"), "-noout", "-pubkey")
        assert openssl("pkey", "-in", key, "-pubout") == certificate
        for form in forms(key):
            assert len(form) >= 24
            assert form not in stored


def test_the_subscriber_example_reads_the_results(one, patience):
    script = os.path.join(TOP, "deploy/subscribers/read_results.py")
    name = "followed.internal.test"
    one.knot.add(one.challenge_cname(name))
    with open(one.path("subscriber.log"), "wb") as log:
        reader = subprocess.Popen(["/usr/bin/python3", "-B", script, one.redis.url, "demo"], stdout=log, stderr=log)
    try:
        one.cli("endpoint", "add", name, "--type", "internal", "--id", "followed")
        one.wait_states("active", ["followed"], 30 * patience)

        def line():
            with open(one.path("subscriber.log"), encoding="utf-8") as f:
                return [x for x in f if x.startswith("certfleet.certificate.issued followed ")]
        print(wait_until("the event", line, 10)[0])
    finally:
        reader.kill()
        reader.wait()
    stream = one.redis.command("xread", "count", "1000", "streams", "cf:{demo}:results", "0")
    assert "certfleet.certificate.issued" in stream and "specversion" in stream
    sys.stdout.write(stream[:300])
