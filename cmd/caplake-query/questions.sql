-- Questions to start from: caplake query --table --echo -f cmd/caplake-query/questions.sql DATASET

-- What was read, and what became of the packets
SELECT path, format, packets, flow_packets AS in_flow, not_ip_packets AS not_ip,
       fragments_reassembled AS fragments, first_ts, error
FROM captures ORDER BY capture_id;

-- Who talks most
SELECT src_ip, dst_ip, app_proto, count(*) AS flows,
       sum(src_bytes) AS sent, sum(dst_bytes) AS received,
       sum(src_retransmitted_packets + dst_retransmitted_packets) AS retransmitted
FROM flows GROUP BY ALL ORDER BY sent + received DESC, src_ip, app_proto LIMIT 8;

-- How TCP connections ended, and their round trips
SELECT state, end_reason, count(*) AS flows,
       median(syn_to_synack_ns) / 1e3 AS rtt_us, min(history) AS history
FROM flows WHERE proto = 'tcp' GROUP BY ALL ORDER BY flows DESC, state;

-- HTTP by host and status
SELECT host, method, status, count(*) AS exchanges,
       sum(response_body_bytes) AS body_bytes, left(min(target), 40) AS target
FROM http GROUP BY ALL ORDER BY exchanges DESC, host, method, status LIMIT 12;

-- HTTP exchanges of flows that lost packets (a join by flow_id)
SELECT h.ts, h.target, h.status, h.outcome, h.after_gap,
       f.dst_out_of_order_packets AS out_of_order, f.dst_gap_bytes AS gap_bytes
FROM http h JOIN flows f USING (flow_id)
WHERE f.dst_retransmitted_packets > 0 OR f.dst_gap_bytes > 0 ORDER BY h.ts;

-- TLS: versions, ciphers, clients
SELECT version, cipher, resumed, outcome, count(*) AS handshakes,
       count(DISTINCT ja4) AS clients, min(ja4) AS ja4
FROM tls GROUP BY ALL ORDER BY handshakes DESC, version, cipher, resumed, outcome;

-- Certificates, and the names they were asked by (a join by a list's elements)
SELECT c.subject, c.key_type, c.key_bits, c.not_after, list(DISTINCT t.sni ORDER BY t.sni) AS sni
FROM certificates c LEFT JOIN (SELECT sni, unnest(cert_fingerprints) AS fp FROM tls) t
     ON t.fp = c.fingerprint_sha256
GROUP BY ALL ORDER BY c.subject;

-- DNS: what was asked for
SELECT qname, count(*) AS queries, list(DISTINCT qtype ORDER BY qtype) AS types,
       list(DISTINCT rcode ORDER BY rcode) AS rcodes, median(rtt_ns) / 1e3 AS rtt_us
FROM dns GROUP BY qname ORDER BY queries DESC, qname LIMIT 10;

-- DNS answers, one a row (a list of structs, unnested)
SELECT qname, a.type, a.ttl, left(a.data, 60) AS data
FROM (SELECT qname, unnest(answers) AS a FROM dns WHERE qtype IN ('MX', 'HTTPS', 'SRV', 'CAA'))
GROUP BY ALL ORDER BY ALL LIMIT 8;

-- The same flows as Zeek would have logged them (views in the columns of other systems)
SELECT ts, uid, "id.orig_h", "id.resp_h", "id.resp_p", service, duration, conn_state, history
FROM zeek_conn WHERE service = 'http' ORDER BY ts LIMIT 5;
