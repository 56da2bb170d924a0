"""DICOM files: pictures and volumes out of them, patients as pseudonyms, segmentations back into them.

Read in this order: `library` (what is imported, and how), `privacy` (names that nobody may see), `files` (which files,
and what their headers say), `syntaxes` (how pixels are packed), `pixels` (stored values to values with a meaning),
`pictures` (values to black and white), `series` (slices to volumes), `people` (patients, studies, sides),
`segmentations` (masks to DICOM SEG).
"""
