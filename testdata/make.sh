#!/bin/bash
# Records the captures of captures/ anew, and writes expected.tsv.
#
# usage: sudo testdata/make.sh
#
# Real programs talk to each other inside this machine: curl, openssl and dig
# to nginx, openssl and knot. Two network namespaces joined by a virtual
# cable, so that no other traffic gets in and checksums are complete; the
# IPv6 capture is of the loopback interface, where Linux leaves the
# checksum of TCP and UDP unfinished. tcpdump and dumpcap record.
#
# Needs Linux and root, and on Debian 12:
#   apt-get install tcpdump nginx-light curl openssl knot bind9-dnsutils \
#       iproute2 ethtool iputils-ping python3 wireshark-common
#
# Times, ports, keys and identifiers differ from one recording to the next;
# what expected.tsv says does not, packets aside.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$here/captures
work=$(mktemp -d)
C=caplake-c S=caplake-s M=caplake-m # namespaces: client, server, the bad cable's middle
pids=()

cleanup() {
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
	wait 2>/dev/null || true
	for n in $C $S $M; do ip netns del $n 2>/dev/null || true; done
	if [[ -n ${KEEP:-} ]]; then echo "$work"; else rm -rf "$work"; fi
}
trap cleanup EXIT

c() { ip netns exec $C "$@"; }
s() { ip netns exec $S "$@"; }
quiet() { "$@" >/dev/null 2>&1 </dev/null || true; }

# --- the machine's inside ---------------------------------------------------

for n in $C $S $M; do
	ip netns add $n
	ip -n $n link set lo mtu 1500 up
done
cable() { # NS IF MAC  NS IF MAC
	ip link add "$2" netns "$1" address "$3" type veth peer name "$5" netns "$4" address "$6"
	for end in "$1 $2" "$4 $5"; do
		set -- $end
		ip netns exec "$1" ethtool -K "$2" tx off rx off tso off gso off gro off >/dev/null
		ip -n "$1" link set "$2" up
	done
}
cable $C eth0 02:00:00:00:00:01 $S eth0 02:00:00:00:00:02
cable $C eth1 02:00:00:00:01:01 $M left 02:00:00:00:01:0a
cable $M right 02:00:00:00:01:0b $S eth1 02:00:00:00:01:02
ip -n $C addr add 10.77.0.1/24 dev eth0
ip -n $S addr add 10.77.0.2/24 dev eth0
ip -n $C addr add 10.78.0.1/24 dev eth1
ip -n $S addr add 10.78.0.2/24 dev eth1

# --- the servers ------------------------------------------------------------

cd "$work"
mkdir www
cat >www/index.html <<'X'
<!doctype html><title>caplake</title><p>A page to fetch.</p>
X
cat >www/page.shtml <<'X'
<!doctype html><title>SSI</title><p><!--#echo var="REMOTE_ADDR" --></p><!--#include virtual="/index.html" -->
X
python3 -c 'print("\n".join("line %d of a text that compresses" % i for i in range(600)))' >www/text.txt
python3 -c 'import sys; sys.stdout.buffer.write(bytes((i * 7919 >> 3) & 255 for i in range(60000)))' >www/data.bin
touch -d 2024-01-01T00:00:00Z www/*

openssl req -x509 -newkey rsa:2048 -nodes -days 36500 -subj "/C=XX/O=caplake test/CN=caplake test CA" \
	-keyout ca.key -out ca.pem 2>/dev/null
leaf() { # NAME SERIAL SAN USAGE KEY-OPTIONS...
	local name=$1 serial=$2 san=$3 usage=$4
	shift 4
	openssl req "$@" -nodes -subj "/O=caplake test/CN=$name" -keyout "$name.key" -out "$name.csr" 2>/dev/null
	printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=%s\n' "$san" "$usage" >"$name.ext"
	openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -days 36500 -set_serial "$serial" \
		-extfile "$name.ext" -out "$name.crt" 2>/dev/null
	cat "$name.crt" ca.pem >"$name.pem"
}
leaf www.example.test 0x1001 DNS:www.example.test,DNS:example.test,IP:10.77.0.2,IP:::1 serverAuth -newkey rsa:2048
leaf ec.example.test 0x1002 DNS:ec.example.test,DNS:*.ec.example.test serverAuth -newkey ec -pkeyopt ec_paramgen_curve:P-256
leaf client 0x1003 email:client@example.test clientAuth -newkey ec -pkeyopt ec_paramgen_curve:P-256

cat >nginx.conf <<X
daemon off; pid $work/nginx.pid; error_log $work/nginx.log; worker_processes 1; user root;
events {}
http {
	types { text/html html shtml; text/plain txt; application/octet-stream bin; }
	access_log off;
	gzip_types text/plain; gzip_min_length 100;
	client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;
	server {
		listen 0.0.0.0:80; listen [::]:80; listen 0.0.0.0:8080;
		listen 0.0.0.0:443 ssl; listen [::]:443 ssl;
		server_name www.example.test; root $work/www; ssi on; gzip on;
		ssl_certificate $work/www.example.test.pem; ssl_certificate_key $work/www.example.test.key;
		ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519:P-256; ssl_session_tickets on; ssl_session_cache shared:a:1m;
		location /moved { return 302 /index.html; }
		location /empty { return 204; }
		location /form { return 200 "thank you\n"; }
	}
}
X
ip netns exec $S nginx -c "$work/nginx.conf" & pids+=($!)

mkdir zones db
cat >zones/example.test <<'X'
$TTL 3600
@       SOA    ns1 hostmaster.example.test. 1 7200 3600 1209600 300
        NS     ns1
        NS     ns2
        A      10.77.0.2
        AAAA   2001:db8::2
        MX     10 mail
        MX     20 mail.example.net.
        TXT    "v=spf1 -all" "two strings"
        CAA    0 issue "ca.example.net"
        RP     hostmaster.example.test. text.example.test.
        NAPTR  100 10 "u" "E2U+sip" "!^.*$!sip:info@example.test!" .
        LOC    52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
        HINFO  "PC" "Linux"
ns1     A      10.77.0.2
ns2     A      10.77.0.3
mail    A      10.77.0.4
www     CNAME  web
web     A      10.77.0.2
web     AAAA   2001:db8::80
svc     HTTPS  1 . alpn="h2,h3" port=8443 ipv4hint=10.77.0.2
svc     SVCB   0 web
_http._tcp SRV 5 10 80 web
_443._tcp.www TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
host    SSHFP  4 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
host    URI    10 1 "https://www.example.test/path"
old     DNAME  example.net.
key     DS     12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
odd     TYPE65300 \# 4 deadbeef
*.wild  A      10.77.0.9
X
{ # a name whose TXT records fill more than one packet
	for i in $(seq 12); do
		printf 'big TXT "%s"\n' "$(printf "%03d-%.0s" $(yes "$i" | head -62))"
	done
} >>zones/example.test
cat >zones/77.10.in-addr.arpa <<'X'
$TTL 3600
@       SOA    ns1.example.test. hostmaster.example.test. 1 7200 3600 1209600 300
        NS     ns1.example.test.
2.0     PTR    web.example.test.
X
cat >knot.conf <<X
server:
    listen: [ 10.77.0.2@53, 127.0.0.1@53, ::1@53 ]
    rundir: $work
    udp-max-payload: 4096
    nsid: "one"
    version: "name server"
    identity: "caplake"
database:
    storage: $work/db
log:
  - target: $work/knot.log
    any: info
acl:
  - id: all
    action: transfer
template:
  - id: default
    storage: $work/zones
    file: "%s"
    zonefile-sync: -1
    acl: all
zone:
  - domain: example.test
    dnssec-signing: on
  - domain: 77.10.in-addr.arpa
X
ip netns exec $S knotd -c "$work/knot.conf" & pids+=($!)

tls_server() { # PORT OPTIONS...: stays until stopped
	local port=$1
	shift
	ip netns exec $S openssl s_server -accept "$port" -quiet -www "$@" >/dev/null 2>&1 </dev/null & pids+=($!)
}
tls_server 8443 -cert ec.example.test.crt -key ec.example.test.key -cert_chain ca.pem -groups P-256 -alpn h2,http/1.1
tls_server 9443 -cert www.example.test.crt -key www.example.test.key -cert_chain ca.pem -CAfile ca.pem -Verify 1 -verify_return_error

ready() { s dig +time=1 +tries=1 @10.77.0.2 example.test DNSKEY +short | grep -q . && s curl -sf -o /dev/null http://10.77.0.2/; }
for ((i = 0; ; i++)); do
	ready && break
	((i < 100)) || { cat "$work"/*.log >&2; exit 1; }
	sleep 0.1
done
c ping -c1 -q 10.77.0.2 >/dev/null # address resolution, before anything is recorded

# --- recording --------------------------------------------------------------

# record NS FILE INTERFACE OPTIONS... starts tcpdump; stop ends it.
record() {
	local ns=$1 file=$2 dev=$3
	shift 3
	ip netns exec "$ns" tcpdump -Z root --immediate-mode -U -i "$dev" -w "$file" "$@" 2>"$work/tcpdump.log" &
	recorder=$!
	until grep -q listening "$work/tcpdump.log"; do sleep 0.02; done
}
stop() { sleep 0.4; kill -INT $recorder; wait $recorder || true; }

# expect FILE FLOWS HTTP TLS DNS: what the programs below did.
printf 'file\tpackets\tflows\thttp\ttls\tdns\n' >"$work/expected.tsv"
expect() {
	local packets
	packets=$(capinfos -rTmc "$out/$1" | tail -1 | cut -d, -f2)
	printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$packets" "$2" "$3" "$4" "$5" >>"$work/expected.tsv"
}
rm -rf "$out"
mkdir -p "$out"
web=http://10.77.0.2

# HTTP/1.1, many exchanges on one connection, and the shapes that have no body.
record $S "$out/http-keepalive.pcap" eth0 tcp port 80
etag=$(sed 's/^/"/;s/$/"/' <<<"$(printf '%x-%x' "$(stat -c %Y www/index.html)" "$(stat -c %s www/index.html)")")
c curl -s -o /dev/null -A caplake-test/1 -H 'Host: www.example.test' "$web/index.html?first" \
	--next -s -o /dev/null -A caplake-test/1 -H 'Host: www.example.test' -H "If-None-Match: $etag" $web/index.html \
	--next -s -o /dev/null -A caplake-test/1 -H 'Host: www.example.test' -I $web/data.bin \
	--next -s -o /dev/null -A caplake-test/1 -H 'Host: www.example.test' -r 100-1099 $web/data.bin \
	--next -s -o /dev/null -A caplake-test/1 -H 'Host: www.example.test' -d 'name=value&other=1' -e $web/index.html $web/form \
	--next -s -o /dev/null -A caplake-test/1 -H 'Host: www.example.test' $web/missing \
	--next -s -o /dev/null -A caplake-test/1 -H 'Host: www.example.test' $web/empty \
	--next -s -o /dev/null -A caplake-test/1 -H 'Host: www.example.test' -u user:secret $web/moved \
	--next -s -o /dev/null -A caplake-test/1 -H 'Host: www.example.test' -X OPTIONS $web/index.html
# Three requests sent before the first answer.
printf 'GET %s HTTP/1.1\r\nHost: pipelined.example.test\r\n\r\n' /index.html /missing /empty >pipelined
c bash -c 'exec 3<>/dev/tcp/10.77.0.2/80; cat pipelined >&3; sleep 0.2; exec 3>&-'
stop
expect http-keepalive.pcap 2 12 0 0

# Chunked both ways, 100 Continue, HTTP/1.0 until close, another port. Times in nanoseconds.
record $S "$work/http-chunked.pcap" eth0 --time-stamp-precision=nano tcp port 80 or tcp port 8080
c curl -s -o /dev/null -H 'Host: www.example.test' $web/page.shtml \
	--next -s -o /dev/null -H 'Host: www.example.test' --compressed $web/text.txt \
	--next -s -o /dev/null -H 'Host: www.example.test' -H 'Transfer-Encoding: chunked' -H 'Content-Type: text/plain' --data-binary @www/text.txt $web/form \
	--next -s -o /dev/null -H 'Host: www.example.test' -H 'Expect: 100-continue' --data-binary @www/index.html $web/form
c curl -s -0 -o /dev/null -H 'Host: www.example.test' $web/page.shtml
c curl -s -o /dev/null -H 'Host: www.example.test' $web:8080/index.html
stop
gzip -9n <"$work/http-chunked.pcap" >"$out/http-chunked.pcap.gz"
expect http-chunked.pcap.gz 3 6 0 0

# The same download over a bad cable: see badlink.py. Recorded at the client.
ip netns exec $M python3 "$here/badlink.py" left right >"$work/badlink.log" & pids+=($!)
until grep -q ready "$work/badlink.log"; do sleep 0.02; done
c ping -c1 -q 10.78.0.2 >/dev/null
record $C "$out/http-loss.pcap" eth1 tcp port 80
c curl -s -o /dev/null -H 'Host: www.example.test' http://10.78.0.2/data.bin \
	--next -s -o /dev/null -H 'Host: www.example.test' http://10.78.0.2/index.html
stop
expect http-loss.pcap 1 2 0 0

# A capture whose recorder missed packets that the receiver got: made from a
# whole one by leaving out two packets in the middle of the first response.
record $S "$work/whole.pcap" eth0 tcp port 80
c curl -s -o /dev/null -H 'Host: www.example.test' $web/data.bin \
	--next -s -o /dev/null -H 'Host: www.example.test' $web/index.html
stop
lost=$(tcpdump -nr "$work/whole.pcap" 2>/dev/null | awk '/10.77.0.2.80 > .* length 1448/ { if (++k == 9 || k == 10) printf "%d ", NR }')
python3 "$here/losepackets.py" "$work/whole.pcap" "$out/http-gap.pcap" $lost
expect http-gap.pcap 1 2 0 0

# One connection in two files, as a recorder that rotates its files leaves it.
record $S "$work/rotate.pcap" eth0 tcp port 80
c curl -s -o /dev/null -H 'Host: www.example.test' $web/index.html \
	--next -s -o /dev/null -H 'Host: www.example.test' $web/text.txt \
	--next -s -o /dev/null -H 'Host: www.example.test' $web/form
stop
editcap -F pcap -r "$work/rotate.pcap" "$out/http-rotated-1.pcap" 1-10
editcap -F pcap "$work/rotate.pcap" "$out/http-rotated-2.pcap" 1-10
expect http-rotated-1.pcap 1 3 0 0 # counted with the first file
expect http-rotated-2.pcap 0 0 0 0

# TLS 1.2: full handshake, resumption by ticket and by session, a client's
# certificate, a refused certificate, no common cipher.
client() { # PORT OPTIONS...: one connection, one request
	local port=$1
	shift
	printf 'GET / HTTP/1.0\r\n\r\n' | c timeout 5 openssl s_client -connect "10.77.0.2:$port" -CAfile ca.pem -quiet -ign_eof "$@" >/dev/null 2>&1 || true
}
record $S "$out/tls12.pcap" eth0 tcp port 443 or tcp port 8443 or tcp port 9443
client 443 -tls1_2 -servername www.example.test -alpn http/1.1 -sess_out "$work/ticket"
client 443 -tls1_2 -servername www.example.test -alpn http/1.1 -sess_in "$work/ticket"
client 443 -tls1_2 -servername www.example.test -no_ticket -sess_out "$work/session"
client 443 -tls1_2 -servername www.example.test -no_ticket -sess_in "$work/session"
client 8443 -tls1_2 -servername ec.example.test -alpn h2,http/1.1
client 9443 -tls1_2 -cert client.crt -key client.key
client 443 -tls1_2 -servername www.example.test -cipher DHE-RSA-AES128-SHA
c curl -s --tls-max 1.2 -o /dev/null --resolve wrong.example.test:443:10.77.0.2 https://wrong.example.test/ || true # an unknown CA
stop
expect tls12.pcap 8 0 8 0

# TLS 1.3: full, resumed, HelloRetryRequest, a client's certificate, a refused one. As pcapng.
ip netns exec $S dumpcap -q -i eth0 -f 'tcp port 443 or tcp port 8443 or tcp port 9443' -w "$work/tls13.pcapng" 2>"$work/dumpcap.log" &
recorder=$!
until grep -q '^File:' "$work/dumpcap.log"; do sleep 0.02; done
client 443 -tls1_3 -servername www.example.test -alpn http/1.1 -sess_out "$work/psk"
client 443 -tls1_3 -servername www.example.test -alpn http/1.1 -sess_in "$work/psk"
client 8443 -tls1_3 -servername a.ec.example.test -groups X25519:P-256 -alpn h2
client 9443 -tls1_3 -cert client.crt -key client.key
c curl -s -o /dev/null -o /dev/null --cacert ca.pem --resolve www.example.test:443:10.77.0.2 https://www.example.test/index.html https://www.example.test/text.txt
c curl -s -o /dev/null --resolve www.example.test:443:10.77.0.2 https://www.example.test/ || true
stop
mv "$work/tls13.pcapng" "$out/"
expect tls13.pcapng 6 0 6 0

# DNS over UDP: many types, answers that fit no packet (fragments) or are cut
# (TC), errors, EDNS options, a name server that is not there.
ask() { quiet c dig +time=1 +tries=1 @10.77.0.2 "$@"; }
record $S "$out/dns-udp.pcap" eth0 not arp and not ip6
udp=0
for q in "example.test SOA" "example.test NS" "example.test A" "example.test AAAA" "example.test MX" "example.test TXT" \
	"example.test CAA" "example.test RP" "example.test NAPTR" "example.test LOC" "example.test HINFO" "www.example.test A" \
	"web.example.test AAAA" "svc.example.test HTTPS" "svc.example.test SVCB" "_http._tcp.example.test SRV" \
	"_443._tcp.www.example.test TLSA" "host.example.test SSHFP" "host.example.test URI" "sub.old.example.test A" \
	"key.example.test DS" "odd.example.test TYPE65300" "any.wild.example.test A" "-x 10.77.0.2" \
	"example.test DNSKEY +dnssec" "example.test A +dnssec +cd" "nothing.example.test A" "nothing.example.test A +dnssec" \
	"web.example.test MX" "WwW.eXaMpLe.TeSt A" "www.example.net A" "version.bind TXT CH" "example.test A +nsid +noedns" \
	"example.test A +nsid" "example.test A +subnet=192.0.2.0/24" "example.test A +ednsopt=65001:68656c6c6f" \
	"example.test A +edns=1 +noednsneg" "example.test A +opcode=2" "example.test A +noedns +norecurse" \
	"big.example.test TXT +bufsize=4096" "big.example.test TXT +bufsize=512 +ignore" 'a\.b\"\000.wild.example.test A'; do
	ask $q
	udp=$((udp + 1))
done
quiet s dig +time=1 +tries=1 @10.77.0.1 nobody.example.test A # answered by ICMP alone
udp=$((udp + 1))
stop
expect dns-udp.pcap $((udp + 1)) 0 0 $udp # the ICMP error is a flow of its own

# DNS over TCP: several queries on one connection, a zone transfer, a retry after TC.
record $S "$out/dns-tcp.pcap" eth0 port 53 and not ip6
quiet c dig +tcp +keepopen +time=1 +tries=1 @10.77.0.2 example.test SOA www.example.test A big.example.test TXT nothing.example.test A
ask +tcp example.test AXFR
ask big.example.test TXT +bufsize=512
stop
expect dns-tcp.pcap 4 0 0 7

# IPv6, on the loopback interface: HTTP, TLS and DNS to ::1.
record $S "$out/ipv6-loopback.pcap" lo ip6
s curl -s -o /dev/null -H 'Host: www.example.test' 'http://[::1]/index.html' --next -s -o /dev/null -H 'Host: www.example.test' 'http://[::1]/page.shtml'
s curl -s -o /dev/null --cacert ca.pem 'https://[::1]/index.html'
quiet s dig +time=1 +tries=1 @::1 www.example.test AAAA
quiet s dig +time=1 +tries=1 @::1 big.example.test TXT +bufsize=4096
quiet s dig +tcp +time=1 +tries=1 @::1 example.test MX
stop
expect ipv6-loopback.pcap 5 2 1 3

# What is not TCP or UDP, and a port without a server.
ip -n $C neigh flush dev eth0
record $S "$out/misc.pcap" eth0 icmp or arp or tcp port 81
quiet c ping -c3 -i0.2 -s 100 10.77.0.2
quiet c ping -c1 -s 3000 10.77.0.2
quiet c curl -s http://10.77.0.2:81/
stop
expect misc.pcap 2 0 0 0

mv "$work/expected.tsv" "$here/expected.tsv"
chmod 644 "$out"/*
cat "$here/expected.tsv"
du -sk "$out"
