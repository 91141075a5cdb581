-- Run once, by the image, in an empty volume: one database for Prefect, one for the catalogue.
CREATE DATABASE prefect;
CREATE DATABASE catalogue;
