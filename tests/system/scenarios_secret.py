# SPDX-License-Identifier: LGPL-2.1-or-later
"""Secret commands, played on every stage."""

from harness.compare import scenario

U1 = "aaaaaaaa-0000-0000-0000-000000000001"
U2 = "aaaaaaaa-0000-0000-0000-000000000002"


def secret(usage, uuid=None, ephemeral="no", private="no", description=None):
    return (f"<secret ephemeral='{ephemeral}' private='{private}'>"
            + (f"<uuid>{uuid}</uuid>" if uuid else "")
            + (f"<description>{description}</description>" if description else "")
            + usage + "</secret>")


USAGES = {
    "volume": "<usage type='volume'><volume>/var/lib/x</volume></usage>",
    "ceph": "<usage type='ceph'><name>client.libvirt</name></usage>",
    "iscsi": "<usage type='iscsi'><target>libvirtiscsi</target></usage>",
    "tls": "<usage type='tls'><name>tls-secret</name></usage>",
    "vtpm": "<usage type='vtpm'><name>vtpm-secret</name></usage>",
}


@scenario
def secret_of_each_usage(s):
    for number, (kind, usage) in enumerate(USAGES.items()):
        uuid = f"aaaaaaaa-0000-0000-0000-00000000000{number}"
        s.file(kind + ".xml", secret(usage, uuid, description="for " + kind))
        s.secret(f"secret-define {{f}}/{kind}.xml")
        s.secret(f"secret-dumpxml {uuid}")
    s.secret("secret-list")
    for option in ("--ephemeral", "--no-ephemeral", "--private", "--no-private"):
        s.secret("secret-list " + option)
    s.secret("secret-undefine aaaaaaaa-0000-0000-0000-000000000001")
    s.secret("secret-undefine aaaaaaaa-0000-0000-0000-000000000001")
    s.secret("secret-list")


@scenario
def secret_value(s):
    s.file("a.xml", secret(USAGES["ceph"], U1))
    s.secret("secret-define {f}/a.xml")
    s.secret(f"secret-get-value {U1}")
    s.secret(f"secret-set-value {U1} --base64 SGVsbG8=")
    s.secret(f"secret-get-value {U1}")
    s.secret(f"secret-get-value {U1} --plain")
    s.file("value", "V29ybGQ=")
    s.secret(f"secret-set-value {U1} --file {{f}}/value")
    s.secret(f"secret-get-value {U1}")
    s.secret(f"secret-set-value {U1} --file {{f}}/value --plain")
    s.secret(f"secret-get-value {U1}")
    s.secret(f"secret-set-value {U1} --file {{f}}/missing")
    s.secret(f"secret-set-value {U1}")
    s.secret(f"secret-set-value {U1} --base64 '!!!'")
    s.secret(f"secret-get-value {U1}")
    s.secret(f"secret-get-value {U2}")
    s.secret("secret-get-value not-a-uuid")
    s.sh("cd {r}/etc/libvirt/secrets; stat -c '%n %a' *; cat *")
    s.secret(f"secret-undefine {U1}")
    s.sh("ls {r}/etc/libvirt/secrets")


@scenario
def private_and_ephemeral_secrets(s):
    s.file("p.xml", secret(USAGES["ceph"], U1, private="yes"))
    s.file("e.xml", secret(USAGES["volume"], U2, ephemeral="yes"))
    s.secret("secret-define {f}/p.xml")
    s.secret("secret-define {f}/e.xml")
    s.secret(f"secret-set-value {U1} --base64 SGVsbG8=")
    s.secret(f"secret-get-value {U1}")
    s.secret(f"secret-set-value {U2} --base64 SGVsbG8=")
    s.secret(f"secret-get-value {U2}")
    s.sh("cd {r}/etc/libvirt/secrets; ls")
    for option in ("", "--ephemeral", "--no-ephemeral", "--private", "--no-private",
                   "--ephemeral --private", "--ephemeral --no-private"):
        s.secret("secret-list " + option)
    s.file("np.xml", secret(USAGES["ceph"], U1, private="no"))
    s.secret("secret-define {f}/np.xml")
    s.file("ee.xml", secret(USAGES["ceph"], U1, private="yes", ephemeral="yes"))
    s.secret("secret-define {f}/ee.xml")
    s.sh("cd {r}/etc/libvirt/secrets; ls")
    s.secret(f"secret-dumpxml {U1}")


@scenario
def clashing_secrets(s):
    s.file("a.xml", secret(USAGES["ceph"], U1))
    s.file("b.xml", secret(USAGES["ceph"], U2))
    s.file("c.xml", secret(USAGES["ceph"]))
    s.file("d.xml", secret(USAGES["iscsi"], U1))
    s.secret("secret-define {f}/a.xml")
    s.secret("secret-define {f}/b.xml")
    s.secret("secret-define {f}/c.xml")
    s.secret("secret-define {f}/d.xml")
    s.secret("secret-define {f}/a.xml")
    s.secret("secret-list")


@scenario
def bad_secret_xml(s):
    cases = {
        "empty": "", "other": "<pool type='dir'/>", "no-usage": "<secret/>",
        "usage-none": "<secret><usage type='none'/></secret>",
        "bad-usage": "<secret><usage type='door'/></secret>",
        "no-type": "<secret><usage><name>x</name></usage></secret>",
        "no-volume": "<secret><usage type='volume'/></secret>",
        "no-name": "<secret><usage type='ceph'/></secret>",
        "no-target": "<secret><usage type='iscsi'/></secret>",
        "bad-uuid": secret(USAGES["tls"], "nonsense"),
        "bad-ephemeral": secret(USAGES["tls"], U1, ephemeral="maybe"),
        "bad-private": secret(USAGES["tls"], U1, private="maybe"),
        "bomb": "<!DOCTYPE s [<!ENTITY a 'b'>]><secret><usage type='ceph'><name>&a;</name></usage>"
                "</secret>",
    }
    for name, text in cases.items():
        s.file(name + ".xml", text)
        s.secret(f"secret-define {{f}}/{name}.xml")
    s.secret("secret-define {f}/missing.xml")
    s.secret(f"secret-dumpxml {U1}")
    s.secret(f"secret-undefine {U1}")
    s.secret("secret-list --bogus")
