# Makes the calls that control scripts make, in their order: finds the virtual service of a name, answers a path on its
# port 80, looks whether it is answered, takes all of it away again, and returns what a signer makes of the CSR.
import os
import socket
import urllib.request

from avi.sdk.avi_api import ApiSession


def certificate_request(csr, common_name, args):
    api = ApiSession(os.environ["DOCKER_GATEWAY"], args["user"], args["password"], tenant="admin", api_version="22.1.3")
    vip = api.get("vsvip/?search=(fqdn,%s)" % common_name).json()["results"][0]
    service = api.get("virtualservice/?vsvip_ref=" + vip["uuid"]).json()["results"][0]
    if any(known["port"] == 80 and not known["enable_ssl"] for known in service["services"]):
        raise Exception("port 80 is there already")
    path, text = ".well-known/acme-challenge/token", "token.thumbprint"
    rule = {
        "name": "rule-" + common_name,
        "index": 1,
        "enable": True,
        "match": {"path": {"match_criteria": "CONTAINS", "match_case": "SENSITIVE", "match_str": [path]}},
        "action": {
            "action": "HTTP_SECURITY_ACTION_SEND_RESPONSE",
            "status_code": "HTTP_LOCAL_RESPONSE_STATUS_CODE_200",
            "file": {"content_type": "text/plain", "file_content": text},
        },
    }
    policy = {"name": common_name + "-policy", "http_security_policy": {"rules": [rule]}, "is_internal_policy": False}
    made = api.post("httppolicyset", data=policy).json()
    elements = {
        "http_policies": [{"http_policy_set_ref": "/api/httppolicyset/" + made["uuid"], "index": 1000001}],
        "services": [{"port": 80, "port_range_end": 80, "enable_ssl": False, "enable_http2": False}],
    }
    api.patch("virtualservice/" + service["uuid"], data={"add": elements}).json()
    try:
        url = "http://127.0.0.1:%s/%s" % (args["port"], path)
        answer = urllib.request.urlopen(urllib.request.Request(url, headers={"Host": common_name})).read().decode()
        if answer != text:
            raise Exception("the token is not served: " + answer)
    finally:
        api.patch("virtualservice/" + service["uuid"], data={"delete": elements}).json()
        api.delete("httppolicyset/" + made["uuid"]).raise_for_status()
    signer = socket.create_connection(("127.0.0.1", int(args["signer"])))
    signer.sendall(csr.encode())
    signer.shutdown(socket.SHUT_WR)
    return signer.makefile().read()
