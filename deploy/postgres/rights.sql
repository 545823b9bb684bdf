-- What each service, and the console, may do with the rows of each table. Run as pawl_owner after the migrations; safe to repeat.
--
-- `insert` means that a row stays as it was written; `insert, update` that it is never deleted. A service that
-- was taken over can then neither rewrite what it has said (outbox), heard (inbox, refund_history), refused
-- (dead_letters) or was told by people (audit_log), nor hide who took serials out (custody), nor make a serial
-- disappear. A table that is not named here can be read only, so a migration that adds one adds it here too; and a
-- function that is not named here can be called by nobody but the owner.

-- Two runs at once would change the same catalogue rows.
SELECT pg_advisory_xact_lock(7205759404);

DO $$
DECLARE
    rights CONSTANT jsonb := '{
        "*": {
            "inbox":               "insert, update (repeated_at, answer)",
            "cursors":             "insert, update (sequence, previous)",
            "parked":              "insert, update (kind, reason, tried_at), delete",
            "dead_letters":        "insert, update (state, replayed_at, replayed_by, replay_reason, closed_at, closed_by, close_reason, edited_as, edited_record)",
            "topics":              "insert",
            "handled_offsets":     "insert, update (next_offset, moved_at)",
            "gaps":                "insert, update (to_offset, closed_at, closed_by, close_reason)",
            "parked_again":        "insert",
            "dead_letters_again":  "insert",
            "outbox":              "insert",
            "audit_log":           "insert",
            "relay":               "insert, update (epoch, published)",
            "unsent":              "insert, update (state, reason, tries, tried_at, retry_at), delete"
        },
        "orders": {
            "orders":              "insert, update",
            "order_lines":         "insert, update, delete",
            "claims":              "insert, update (state, settled_at)",
            "issue_requests":      "insert",
            "quarantine":          "insert, update (decision, settled_at)",
            "payments":            "insert, update (order_id, amount, content), delete",
            "sales":               "insert, delete",
            "partners":            "insert, update",
            "withdrawal_requests": "insert",
            "invoiced_payments":   "insert"
        },
        "serials": {
            "orders":              "insert, update (sequence)",
            "grants":              "insert, update (issued, state, sequence, issued_at, reissued, revoked, expired, home)",
            "serials":             "insert, update (state, account, registered_at, usage_ends_at, revoked_at, revoke_reason, lookup_tag, text, key_id)",
            "custody":             "insert",
            "failed_attempts":     "insert, update (failures), delete",
            "withdrawn_partners":  "insert",
            "serial_keys":         "insert, update (rotated_to, rotated_at, to_rekey, rekeyed, rekeyed_up_to, stands_at, retired_at)"
        },
        "refunds": {
            "orders":              "insert, update",
            "order_lines":         "insert, update, delete",
            "refunds":             "insert, update (state, why, why_at, supply, vat, fee, expected_on, completed_at, deadline, returned_at, reviewed_at, consumed, known_use, mismatch, approved_by, approved_won, sequence, steps)",
            "usage_readings":      "insert, update (used)",
            "bonuses":             "insert",
            "refund_lines":        "insert, update (quantity, position)",
            "refund_payouts":      "insert, update (state)",
            "payout_failures":     "insert, update (failed_at, reason)",
            "refund_history":      "insert",
            "data_keys":           "insert, update (sealed, forgotten_at)",
            "refund_details":      "insert",
            "tax_invoices":        "insert, update (document_key, is_duplicate)",
            "withdrawn_partners":  "insert"
        },
        "invoices": {
            "payments":            "insert, update (refunded_supply, refunded_vat, standing_supply, standing_vat, issued_units, returned_units, open_refunds, business_number, invoice_id)",
            "payment_lines":       "insert, update (buyer)",
            "documents":           "insert, update",
            "refunds":             "insert, update (state, supply, vat, lines, consumed, heard_at)",
            "partners":            "insert, update",
            "partner_numbers":     "insert, update (business_number)",
            "business_registrations": "insert, update (told_at, representative, address, business_type, business_item, branch_number)",
            "corrections":         "insert, update (business_number, state, proposed_at, reason, actor, decided_at, buyer)",
            "merge_requests":      "insert, update (business_number, standing)",
            "merge_explanations":  "insert, update (order_id, reason)",
            "document_counters":   "insert, update (last_number)",
            "approvals":           "insert, update (supply, vat, payments, actor, reason, approved_at)",
            "closed_businesses":   "insert",
            "transmissions":       "insert, update (state, sequence, actor, at, approval_number, detail)",
            "submissions":         "insert, update (document_key, month, state, actor, reason, is_of_all, next_at, tries, approval_number, detail, doubt, doubted_at, given_up)",
            "withdrawn_partners":  "insert",
            "months":              "insert, update (sequence, unreported)",
            "changed_months":      "insert, delete",
            "kept_stands":         "insert, delete",
            "kept_previews":       "insert, delete",
            "kept_left_out":       "insert, delete"
        },
        "console": {
            "sessions":            "insert, update (seen_at), delete",
            "thresholds":          "insert",
            "lag_samples":         "insert, update (reading, publishing), delete",
            "lists":               "insert, update (reason, stopped_at, stopped_by, stop_why), delete",
            "list_members":        "insert, update (would, is_hopeless, begun_at, ended_at, outcome, detail)"
        }
    }';
    -- They run with the rights of the owner, who decides what may be forgotten, and makes tables.
    functions CONSTANT text[] := ARRAY['move_horizon', 'forget_facts', 'forget_ids', 'forget_details', 'erase_partner', 'erase_custody', 'make_home', 'index_home', 'open_home'];
    -- It only reads, with the rights of whoever asks.
    reading CONSTANT text[] := ARRAY['stands_of_partner'];
    place record;
    wanted text;
BEGIN
    FOR place IN
        SELECT n.nspname AS service, c.relname AS name, c.relispartition AS is_part, 'pawl_' || n.nspname AS role
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('orders', 'serials', 'refunds', 'invoices', 'console') AND c.relkind IN ('r', 'p', 'v', 'm')
    LOOP
        EXECUTE format('REVOKE ALL ON %I.%I FROM %I', place.service, place.name, place.role);
        wanted := coalesce(rights -> '*' ->> place.name, rights -> place.service ->> place.name);
        -- A home that serials are copied into (make_home), and that is not yet a part of all serials.
        IF place.service = 'serials' AND place.name ~ '^serials_[1-9]' AND NOT place.is_part THEN
            wanted := 'insert';
        END IF;
        EXECUTE format('GRANT %s ON %I.%I TO %I', concat_ws(', ', 'select', wanted), place.service, place.name, place.role);
    END LOOP;

    -- Rows of `..._again` are numbered with those of the table that they belong to.
    FOR place IN
        SELECT n.nspname AS service, c.relname AS name, 'pawl_' || n.nspname AS role
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('orders', 'serials', 'refunds', 'invoices', 'console') AND c.relkind = 'S'
          AND c.relname IN ('dead_letters_id_seq', 'parked_id_seq')
    LOOP
        EXECUTE format('GRANT USAGE ON SEQUENCE %I.%I TO %I', place.service, place.name, place.role);
    END LOOP;

    FOR place IN
        SELECT p.oid::regprocedure AS signature, p.proname AS name, 'pawl_' || n.nspname AS role
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname IN ('orders', 'serials', 'refunds', 'invoices', 'console')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, pawl_ops, %I', place.signature, place.role);
        IF place.name = ANY (functions) THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', place.signature, place.role);
        END IF;
        IF place.name = ANY (reading) THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I, pawl_ops', place.signature, place.role);
        END IF;
    END LOOP;
END
$$;
