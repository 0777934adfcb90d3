"""The database: tables, migrations, the run lifecycle, metric series and queries."""
