-- migrate:up
SET LOCAL lock_timeout = '10s';

-- A payment that is said to be paid again is so with its own won: by payment, an instant became an instant with won.
UPDATE orders o SET repeats = coalesce((
    SELECT json_object_agg(repeat.key, json_build_object('at', repeat.value, 'amount', p.amount))
    FROM json_each(o.repeats) AS repeat
    JOIN payments p ON p.payment_id = repeat.key), '{}')
WHERE o.repeats::text <> '{}';

-- migrate:down
UPDATE orders o SET repeats = (
    SELECT json_object_agg(repeat.key, repeat.value -> 'at') FROM json_each(o.repeats) AS repeat)
WHERE o.repeats::text <> '{}';
