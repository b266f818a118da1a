//! WHO HOLDS IT: journal, outbox, inbox, receipts, cases, duplicates, ledger.
