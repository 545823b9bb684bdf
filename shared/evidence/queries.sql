-- name: evidence_decisions
-- What people did about the order: a target begins with its key.
SELECT id, recorded_at, actor, action, target, reason, before::text AS before, after::text AS after, result, request
FROM audit_log
WHERE split_part(target, ' ', 1) = split_part($1, ' ', 1) AND (target = $1 OR starts_with(target, $1 || ' ')) ORDER BY id;

-- name: evidence_events
-- What this service said about the order, answers to checkout included. What is said of one serial is counted elsewhere:
-- an order may have a million.
SELECT event_id, topic, type, subject, time, causation, data, recorded_at
FROM outbox WHERE key = $1 AND type NOT IN ('serial.registered.v1', 'serial.reissued.v1', 'serial.revoked.v1') ORDER BY id;

-- name: evidence_refused
-- What was refused of the order's key, and how it ended.
SELECT id, topic, type, source, event_id, code, pointer, detail, state, dead_at, edited_as,
       coalesce(closed_at, replayed_at) AS closed_at, coalesce(closed_by, replayed_by) AS closed_by,
       coalesce(close_reason, replay_reason) AS close_reason
FROM dead_letters WHERE key = $1 ORDER BY id;

-- name: evidence_waiting
-- What waits with the order's key.
SELECT id, kind, reason, type, source, event_id, parked_at, overdue_at AS deadline FROM parked WHERE key = $1 ORDER BY id;

-- name: evidence_forgotten
-- Since when every event is there, once some were forgotten; of whichever order.
SELECT horizon FROM retention WHERE forgotten > 0 AND $1::text IS NOT NULL;
