# certferry: hands certificate requests of this controller to certferry. certferry keeps this text: edits are overwritten.
"""ControlScript of a certificate management profile, Python 3.8 or later, nothing but the standard library.

The controller makes key and CSR, calls certificate_request, and installs the chain that it returns. All that is printed
ends up in what operators read, so nothing is printed, and a failure is one line: what was said, and what to do next.

Custom parameters of the profile:
  url            where certferry's API is, https://HOST:PORT
  load_balancer  the name of this controller's tenant in certferry.yaml
  token          the token of that API (sensitive)
  trusted_roots  PEM of the roots that certferry's HTTPS is checked against; absent: those of this controller
  time_limit     seconds, 540 when absent; must stay below the timeout of this script (600)
"""

import base64
import binascii
import email.utils
import http.client
import json
import re
import ssl
import sys
import time
import urllib.parse


def certificate_request(csr, common_name, args):
    """The chain for a CSR, PEM, leaf first."""
    args = args or {}
    try:
        certferry = Certferry(args)
        return certferry.chain({"csr": csr, "common_name": common_name})
    except NoCertificate as failure:
        text = str(failure)
    except Exception as error:  # whatever it is, its text might quote the token
        text = "the script failed unexpectedly (%s); hint: report this to certferry" % type(error).__name__
    # The traceback tells operators nothing.
    sys.tracebacklimit = 0
    raise NoCertificate(one_line(text, args.get("token")))


class NoCertificate(Exception):
    """Why there is no certificate, and what to do."""


class NotYet(Exception):
    """There may be one later; wait: the seconds that certferry asks for, or None."""

    def __init__(self, said, wait=None):
        super().__init__(said)
        self.wait = wait


class Certferry:
    """certferry's API, as the profile's parameters describe it."""

    def __init__(self, args):
        self.url = parameter(args, "url", "the address of certferry's API, https://HOST:PORT")
        load_balancer = parameter(args, "load_balancer", "the name of this load balancer in certferry.yaml")
        self.token = parameter(args, "token", "the token of certferry's API, marked as sensitive")
        if not re.fullmatch(r"[\x21-\x7e]+", self.token):
            raise NoCertificate("custom parameter token has spaces or letters that no token has; hint: set it anew")
        self.time_limit = time_limit(args)
        self.context = tls_context(str(args.get("trusted_roots") or ""))
        try:
            parts = urllib.parse.urlsplit(self.url)
            self.host, self.port = parts.hostname, parts.port or 443
        except ValueError:
            parts, self.host = None, None
        if not self.host or parts.scheme != "https" or parts.username or parts.query or parts.fragment:
            raise NoCertificate("custom parameter url is not of the form https://HOST:PORT; hint: correct it")
        name = urllib.parse.quote(load_balancer, safe="")
        self.path = "%s/v1/avi/%s/certificate" % (parts.path.rstrip("/"), name)

    def chain(self, request):
        """Asks until there is a chain. The same CSR leads to the same order, so asking again costs nothing."""
        body = json.dumps(request).encode()
        end = time.monotonic() + self.time_limit
        pause = FIRST_PAUSE
        while True:
            seconds = min(max(end - time.monotonic(), 1), LONGEST_EXCHANGE)
            try:
                return self.ask(body, seconds)
            except NotYet as later:
                wait = pause if later.wait is None else max(later.wait, FIRST_PAUSE)
                if time.monotonic() + wait >= end:
                    asked = "" if later.wait is None else " (to be asked again in %d s)" % later.wait
                    raise NoCertificate(
                        "no certificate within %d s: %s%s; hint: `certferry status` and certferry's log tell what it waits "
                        "for; then renew the certificate here once more" % (self.time_limit, later, asked)
                    )
            pause = min(pause * 2, LONGEST_PAUSE)
            time.sleep(wait)

    def ask(self, body, seconds):
        headers = {
            "Accept": "application/json",
            "Authorization": "Bearer " + self.token,
            "Content-Type": "application/json",
        }
        # Neither proxies nor redirects: the token goes to the host of the parameter only.
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=seconds, context=self.context)
        try:
            connection.request("POST", self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read(LONGEST_ANSWER)
        except ssl.SSLError as error:
            raise self.no_tls(error)
        except (OSError, http.client.HTTPException) as error:
            raise NotYet("%s does not answer: %s" % (self.url, str(error) or type(error).__name__))
        finally:
            connection.close()
        return self.read(answer, content)

    def no_tls(self, error):
        if isinstance(error, ssl.SSLCertVerificationError):
            return NoCertificate(
                "the HTTPS certificate of %s is not accepted: %s; hint: set custom parameter trusted_roots to the PEM of the "
                "root that it comes from, and url to a name that it holds" % (self.url, error.verify_message)
            )
        if isinstance(error, (ssl.SSLEOFError, ssl.SSLSyscallError, ssl.SSLZeroReturnError)) or "EOF" in str(error):
            return NotYet("%s drops the connection" % self.url)
        reason = error.reason or type(error).__name__
        return NoCertificate("no TLS with %s: %s; hint: is this certferry's HTTPS address?" % (self.url, reason))

    def read(self, answer, content):
        try:
            told = json.loads(content.decode())
        except ValueError:
            told = None
        told = told if isinstance(told, dict) else {}
        if answer.status == 200:
            chain = told.get("chain")
            if isinstance(chain, str) and "-----BEGIN CERTIFICATE-----" in chain:
                return chain
            raise NoCertificate("%s answers without a chain; hint: is it certferry?" % self.url)
        said = "%s answers %d" % (self.url, answer.status)
        if told.get("error"):
            said = "%s: %s" % (said, told["error"])
        elif not told:
            said = "%s: %s" % (said, content[:200].decode("utf-8", "replace"))
        if answer.status in AGAIN:
            raise NotYet(said, retry_after(answer.getheader("Retry-After")))
        raise NoCertificate("%s; hint: %s" % (said, told.get("hint") or "is custom parameter url certferry's address?"))


def parameter(args, name, meaning):
    value = str(args.get(name) or "").strip()
    if not value:
        raise NoCertificate(
            "the certificate management profile has no custom parameter %s; hint: add it: %s" % (name, meaning)
        )
    return value


def time_limit(args):
    text = str(args.get("time_limit") or TIME_LIMIT).strip()
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= LONGEST_TIME_LIMIT:
        raise NoCertificate(
            "custom parameter time_limit is not a number of seconds from 1 to %d; hint: correct or remove it"
            % LONGEST_TIME_LIMIT
        )
    return int(text)


def tls_context(trusted_roots):
    """Checks certificate and host name. Input fields may have made spaces of a PEM's line ends."""
    blocks = re.findall("-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----", trusted_roots)
    try:
        if trusted_roots.strip() and not blocks:
            raise ValueError("no PEM")
        roots = b"".join(base64.b64decode("".join(block.replace("\\n", "").split()), validate=True) for block in blocks)
        context = ssl.create_default_context(cadata=roots or None)
    except (binascii.Error, ssl.SSLError, ValueError):
        raise NoCertificate("custom parameter trusted_roots is not the PEM of certificates; hint: set it anew")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The default since Python 3.13: many private CAs lack the extensions that it asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def retry_after(value):
    """Seconds; RFC 9110 section 10.2.3 has them as a number or as a date."""
    value = (value or "").strip()
    if re.fullmatch("[0-9]{1,9}", value):
        return int(value)
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0)
    except (IndexError, OverflowError, TypeError, ValueError):
        return None


def one_line(text, token):
    token = str(token or "").strip()
    if token:
        text = text.replace(token, "(token)")
    return " ".join(text.split())[:LONGEST_TEXT]


AGAIN = (202, 429, 502, 503, 504)
TIME_LIMIT = 540
LONGEST_TIME_LIMIT = 580
LONGEST_EXCHANGE = 90
LONGEST_ANSWER = 1 << 20
LONGEST_TEXT = 1000
FIRST_PAUSE = 1
LONGEST_PAUSE = 15
