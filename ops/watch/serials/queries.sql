-- name: newest_grants
-- The newest issuances, of a partner or an order where one is given, with how many of their serials are registered. Batch ids
-- begin with the instant at which the issuance began.
SELECT g.grant_id, g.order_id, g.line_id, g.partner_id, g.product_name, g.state, g.quantity, g.issued, g.revoked, g.reissued,
       g.granted_at, g.registration_deadline,
       CASE WHEN g.expired IS NOT NULL THEN g.issued + g.reissued - g.revoked - g.expired ELSE (
           SELECT count(*) FROM serials s
           WHERE s.home = g.home
             AND s.serial_id BETWEEN g.batch_id AND overlay(g.batch_id::text PLACING 'ffffff' FROM 31)::uuid
             AND s.state = 'registered'
       ) END::bigint AS registered
FROM (
    (SELECT * FROM grants WHERE $1::text IS NULL AND $2::text IS NULL ORDER BY batch_id DESC LIMIT $3)
    UNION ALL
    (SELECT * FROM grants WHERE partner_id = $1 AND ($2 IS NULL OR order_id = $2) ORDER BY batch_id DESC LIMIT $3)
    UNION ALL
    (SELECT * FROM grants WHERE order_id = $2 AND $1 IS NULL ORDER BY batch_id DESC LIMIT $3)
) AS g
ORDER BY g.batch_id DESC;
