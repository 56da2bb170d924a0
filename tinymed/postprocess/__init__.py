"""What is done to a segmentation after the network: components, holes, region growing, watershed, dense CRF.

regions     masks: the largest components, small ones away, holes filled, regions grown
watershed   touching objects told apart: flooding from markers
lattice     Gaussian filters of high dimension, exactly and fast
dense_crf   the fully connected conditional random field by mean field
steps       several of them in a row, as `tinymed evaluate --postprocess` writes them
"""
