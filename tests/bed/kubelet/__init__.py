"""The stand-in for the kubelet, and the only stand-in in the bed.

It does for each Pod what kubelet, container runtime and Istio's endpoint discovery would do: it
runs a process (backend/) on its own loopback address, reports readiness in the Pod's status, and
keeps a WorkloadEntry while the Pod is ready, so that istiod sends traffic to it. Everything else
(Deployments, ReplicaSets, scaling, garbage collection) is done by the real controllers.

Annotations of a Pod make it behave badly:
  bed.penstock.dev/ready-after: 5s | never    not ready before that
  bed.penstock.dev/crash-after: 3s            its process dies after that, each time it is started
  bed.penstock.dev/inbound: "true"            an Envoy stands before it (sidecar.py)
  bed.penstock.dev/tls: "true"                its process serves TLS too, on a port named tls
A Pod of a Job runs no process; its annotations say how it ends:
  bed.penstock.dev/seconds: "1"               after this time (default 0.1)
  bed.penstock.dev/exit: "0"                  with this code (default 0): Succeeded or Failed

Run by the bed: `python -m tests.bed.kubelet --url … --ca … --cert … --key … --backend … --port …`.
"""
