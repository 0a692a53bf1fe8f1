#!/usr/bin/env bash
# diameter-codec: an IMSI is a second User-Name, and a session id of 4 or 16 characters an IP address.
#
# Expected: "The AVP Code, combined with the Vendor-Id field, identifies the attribute uniquely" (RFC 6733, 4.1): code 1
# is User-Name, and 3GPP-IMSI with the vendor 10415 (3GPP TS 29.061). An OctetString holds any bytes (4.2), such as the
# Acct-Session-Id of RADIUS, code 44 (9.8.4). python-diameter reads both.
# Seen: attributes are looked up by their code only, so that the first one of the dictionary with this code gives the
# name, whichever the vendor. What is four or sixteen bytes long is taken for an address, IPv4 or IPv6, so that the
# text "4F2A" is "52.70.50.65". On the way out a text is cut to as many bytes as it has characters: of "Zürich-7" the 7
# is lost.
#
# Versions: diameter-codec 1.0.3 with python-diameter 0.9.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check diameter-codec==1.0.3 python-diameter==0.9.0
echo "diameter-codec 1.0.3, python-diameter 0.9.0, $(python3 --version)"
cat >dictionary.xml <<'XML'
<dictionary xmlns="urn:example:dictionary">
  <vendors><vendor id="0" name="None"/><vendor id="10415" name="TGPP"/></vendors>
  <application id="4" name="Credit Control">
    <avps>
      <avp code="1" name="User-Name" type="UTF8String" vendor="None" mandatory-flag="must"/>
      <avp code="1" name="3GPP-IMSI" type="UTF8String" vendor="TGPP" vendor-flag="must" mandatory-flag="must"/>
      <avp code="44" name="Acct-Session-Id" type="OctetString" vendor="None" mandatory-flag="must"/>
    </avps>
  </application>
</dictionary>
XML
cat >run.py <<'PYTHON'
from codec.diameter.diameter import Avp, Diameter, DiameterHeader
from codec.diameter.dictionary import DefaultDictionaryLayout
from diameter.message import Message

sessions = ("4F2A", "edge7;42", "edge7;2026-11-30", "Zürich-7")
avps = (Avp("User-Name", "alice"), Avp("3GPP-IMSI", "001010123456789"))
avps += tuple(Avp("Acct-Session-Id", session) for session in sessions)
codec = Diameter(DefaultDictionaryLayout("dictionary.xml"))
header = DiameterHeader(4, 272, avps, hop_by_hop_identifier=1, end_to_end_identifier=2, command_flag_req=True)
message = codec.encode(header)
for read, true in zip(codec.decode(message).avp_set, Message.from_bytes(message).avps[1:]):
    print(f"{true.name} {true.value}: {read.name} {read.data}")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "User-Name alice: User-Name alice
3GPP-IMSI 001010123456789: User-Name 001010123456789
Acct-Session-Id b'4F2A': Acct-Session-Id 52.70.50.65
Acct-Session-Id b'edge7;42': Acct-Session-Id edge7;42
Acct-Session-Id b'edge7;2026-11-30': Acct-Session-Id 6564:6765:373b:3230:3236:2d31:312d:3330
Acct-Session-Id b'Z\xc3\xbcrich-': Acct-Session-Id Zürich-" ]; then
    echo "changed: attributes are read in another way" >&2
    exit 1
fi
