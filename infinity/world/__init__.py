"""The small world of a model that has a vocabulary: a prompt is read into a scene, the scene is
completed by the picture's seed, and written as a caption of the kind the model was trained on."""
