#!/usr/bin/env bash
# pygraphml: reading and writing a network makes one node of all, and directed links have no direction.
#
# Expected: the id of a node names it in the file, and source and target of an edge are ids; edgedefault="directed"
# makes each edge without an attribute of its own a directed one; a key gives data a name and a type (GraphML Primer,
# "Declaring a Graph", "Declaring GraphML-Attributes"). The Internet Topology Zoo has its networks in this format.
# networkx reads the same file so.
# Seen: nodes are read by their ids but written by their labels, which are empty for all nodes of a file: three nodes
# with the id "", and links from "" to "". Edges are read as undirected ones whatever the file says, and are written
# with directed="false" in a directed graph. Names and types of keys are left out, so that the 100 Mbit/s are the text
# "100" under the name d0.
#
# Versions: pygraphml 2.4.2 with networkx 3.4.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pygraphml==2.4.2 networkx==3.4.2
echo "pygraphml 2.4.2, networkx 3.4.2, $(python3 --version)"
cat >links.graphml <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="d0" for="edge" attr.name="mbit" attr.type="int"/>
  <graph id="edges" edgedefault="directed">
    <node id="core"/><node id="edge-a"/><node id="edge-b"/>
    <edge source="core" target="edge-a"><data key="d0">100</data></edge>
    <edge source="core" target="edge-b"><data key="d0">1000</data></edge>
  </graph>
</graphml>
XML
cat >run.py <<'PYTHON'
import networkx
from pygraphml import GraphMLParser


def show(name, path):
    graph = networkx.read_graphml(path)
    print(f"{name}: {sorted(graph.nodes)} {list(graph.edges(data='mbit'))}")


show("networkx", "links.graphml")
read = GraphMLParser().parse("links.graphml")
print("pygraphml:", [node.id for node in read.nodes()], [(e.node1.id, e.node2.id, e.directed()) for e in read.edges()])
GraphMLParser().write(read, "again.graphml")
with open("again.graphml") as file:
    print(*(line.strip() for line in file if "<node" in line or "<edge" in line), sep="\n")
print("pygraphml:", [edge["d0"] for edge in read.edges()])
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "networkx: ['core', 'edge-a', 'edge-b'] [('core', 'edge-a', 100), ('core', 'edge-b', 1000)]
pygraphml: ['core', 'edge-a', 'edge-b'] [('core', 'edge-a', False), ('core', 'edge-b', False)]
<node id=\"\"/>
<node id=\"\"/>
<node id=\"\"/>
<edge source=\"\" target=\"\" directed=\"false\">
<edge source=\"\" target=\"\" directed=\"false\">
pygraphml: ['100', '1000']" ]; then
    echo "changed: graphs are read or written in another way" >&2
    exit 1
fi
