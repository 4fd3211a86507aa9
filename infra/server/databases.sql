-- Run once, when the volume of the database is new: Prefect's own database is made from POSTGRES_DB.
CREATE DATABASE mlflow;
